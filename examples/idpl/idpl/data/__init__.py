"""Pictures with their labels, and the batches drawn from them."""
