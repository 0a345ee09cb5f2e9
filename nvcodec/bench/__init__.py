"""Measuring: any codec's files beside ours, one vocabulary of metrics, plots, comparisons and reports.

Nothing here is needed to encode or decode. The packages it uses beyond those are the extra `bench`.
"""
