"""What engine `piper` is made of: voices from files, onnxruntime's sessions, their shares of the processors."""
