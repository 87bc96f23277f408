"""Knowledge distillation for face recognition: a Large-protocol teacher into a Light-protocol student."""
