"""The gate: a candidate speaks the golden texts, and its audio is compared with calibrated bounds."""
