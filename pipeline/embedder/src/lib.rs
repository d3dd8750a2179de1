//! Sentence embeddings from a local ONNX model, for the batch.
