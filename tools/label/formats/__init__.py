"""The files of labeling tools: each module writes a batch and reads what comes back."""
