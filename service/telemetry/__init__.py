"""What an operator sees of a request: its record, log lines and trace."""
