"""The meter's accuracy: waveforms through an emulated converter, measured by the real firmware."""
