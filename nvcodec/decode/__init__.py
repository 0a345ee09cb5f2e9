"""From records to frames. Never opens a file, never needs the encoder."""
