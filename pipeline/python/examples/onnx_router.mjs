// Decides with the ONNX models in Node and compares with the native predictions: node onnx_router.mjs FOLDER
// FOLDER is written by onnx_router.py; needs `npm install onnxruntime-node`.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ort from 'onnxruntime-node';

const TOLERANCE = 1e-6;
const folder = process.argv[2];
const bytes = (name) => {
  const file = readFileSync(join(folder, name));
  return file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength);
};

const rows = new Float32Array(bytes('features.bin'));
for (const [name, output] of [['success', 'probabilities'], ['latency', 'latency_ms'], ['classifier', 'probabilities']]) {
  const expected = new Float64Array(bytes(`${name}.bin`));
  const session = await ort.InferenceSession.create(join(folder, `${name}.onnx`));
  const nPaths = session.outputMetadata.find((value) => value.name === output).shape[1];
  const nRows = expected.length / nPaths;
  const features = new ort.Tensor('float32', rows, [nRows, rows.length / nRows]);
  // Only numbers are fetched: labels would be texts.
  const found = (await session.run({ features }, [output]))[output].data;
  let largest = 0;
  for (let position = 0; position < expected.length; position += 1) {
    const [a, b] = [Number(found[position]), expected[position]];
    if (Number.isNaN(a) !== Number.isNaN(b)) throw new Error(`${name}: value ${position} is ${a}, expected ${b}`);
    if (!Number.isNaN(b)) largest = Math.max(largest, Math.abs(a - b) / Math.max(1, Math.abs(b)));
  }
  console.log(`${name}: ${nRows} rows x ${nPaths} paths, largest difference ${largest.toExponential(2)}`);
  if (largest > TOLERANCE) throw new Error(`${name} differs by ${largest}`);
}
