"""What operators look at: /metrics, /healthz and /readyz."""
