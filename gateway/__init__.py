"""The data concentrator ("gateway"): opens each reading, encrypts it at once, forwards only sums.

Read in the order in which a frame meets the files: links/, intake (DataDecryption), encryption (PaillierEncryption),
aggregate (DataAggregator), ledger, reception (which ties those together), closing, uploader.
"""
