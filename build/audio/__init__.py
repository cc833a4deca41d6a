"""What can be measured in recorded speech: signal, features, speaker, quality."""
