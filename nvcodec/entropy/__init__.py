"""Integers to payloads and back: tables, arithmetic coding, tensor codings, masks, packed floats."""
