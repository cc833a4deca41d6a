"""What a cutover does, step by step; a table of build.cutover.state_machine says in which order."""
