"""Measured collectives: logs of nccl-tests read, laid on a fabric, fitted, stored beside it, and compared."""
