"""Engine `glm_tts`: GLM-TTS by upstream's own code and weights, both mounted."""
