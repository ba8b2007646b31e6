"""The same spec under runc and under the runtime of this project, and what a probe reports inside."""
