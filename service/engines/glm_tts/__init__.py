"""Engine `glm_tts`: GLM-TTS with upstream's code and weights, both mounted."""
