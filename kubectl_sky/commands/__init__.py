"""One verb a file: parse flags, call, print. No logic lives here."""
