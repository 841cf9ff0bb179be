"""Where a run's figures are shown beside its folder, one file each."""
