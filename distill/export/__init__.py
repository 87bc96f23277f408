"""From a trained network to what is handed over: one ONNX file, its proof, a report and a model card."""
