"""Steps of a cutover; the tables in build.cutover.state_machine define their order."""
