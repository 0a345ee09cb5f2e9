"""Programs for people who work on nvcodec; nothing here is installed."""
