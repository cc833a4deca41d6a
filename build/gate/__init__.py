"""The gate: a candidate speaks the golden texts, and what is heard is judged against what was calibrated."""
