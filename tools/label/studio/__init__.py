"""Label Studio's server: batches go there, and what people did comes back."""
