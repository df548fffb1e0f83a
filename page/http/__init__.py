"""What the server lets through: middleware, uploads, sessions, admission, files to download."""
