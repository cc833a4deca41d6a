"""Audio input and output: encoding, resampling, and reference recordings for voice cloning."""
