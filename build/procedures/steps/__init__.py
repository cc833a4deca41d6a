"""What a cutover does, step by step; a table of build.decisions.machine says in which order."""
