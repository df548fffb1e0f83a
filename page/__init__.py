"""The parts of the page, each what a visitor sees of it; `app.py` puts them together."""
