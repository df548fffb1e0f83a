"""What is shown: one file for each panel of the page."""
