"""What running parts tell about themselves: metrics, traces, logs and health."""
