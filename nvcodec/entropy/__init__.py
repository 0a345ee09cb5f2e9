"""Integers to payloads and back: tables, arithmetic coding, tensor codings, packed floats."""
