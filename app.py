"""The page: `python app.py` serves it on 127.0.0.1:7860."""

from page.serving import main

if __name__ == "__main__":
    main()
