"""Audio in and out: encoding, resampling, and recordings of a voice to imitate."""
