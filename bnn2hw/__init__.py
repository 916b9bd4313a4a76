"""bnn2hw: from trained binary neural networks to verified hardware."""
