"""Parts of engine `piper`: voices from files, onnxruntime sessions, their memory."""
