"""Jobs that outlive a browser tab: their queue, limits, store and forecast, and who paints them."""
