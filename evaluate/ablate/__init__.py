"""`semihand ablate`: the paper's tables and figures on any labelled target."""
