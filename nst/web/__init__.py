"""HTTP to the Hugging Face Hub: a client, and downloads of parts of files."""
