//! The messages of ONNX, written in Protocol Buffers' wire format; only the fields that the exports use.
//!
//! Field numbers: `onnx.proto`, IR version 10. A generator for these few messages would bring a dozen crates.

/// Bytes of one message.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(pub Vec<u8>);

/// Element types of tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Float = 1,
    Byte = 2,
    Text = 8,
    Bool = 9,
    Double = 11,
}

/// Wire types of Protocol Buffers.
const VARINT: u64 = 0;
const LENGTH: u64 = 2;

impl Message {
    fn varint(&mut self, mut number: u64) {
        while 0x80 <= number {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    pub(super) fn int(&mut self, field: u64, number: i64) {
        self.varint(field << 3 | VARINT);
        self.varint(number as u64);
    }

    pub(super) fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | LENGTH);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    pub(super) fn message(&mut self, field: u64, message: &Self) {
        self.bytes(field, &message.0);
    }

    /// Numbers in one field.
    fn packed(&mut self, field: u64, numbers: &[i64]) {
        let mut packed = Self::default();
        numbers.iter().for_each(|&number| packed.varint(number as u64));
        self.message(field, &packed);
    }
}

/// A tensor: its name may be empty where it is an attribute.
pub(super) fn tensor(name: &str, element: Element, shape: &[usize], raw: &[u8]) -> Message {
    let mut tensor = Message::default();
    shape.iter().for_each(|&size| tensor.int(1, size as i64));
    tensor.int(2, element as i64);
    tensor.text(8, name);
    tensor.bytes(9, raw);
    tensor
}

/// A tensor of doubles.
pub(super) fn doubles(name: &str, shape: &[usize], numbers: &[f64]) -> Message {
    let raw: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    tensor(name, Element::Double, shape, &raw)
}

/// An input or output of n rows. `columns`: their number; `None` for one value per row without a second dimension.
pub(super) fn value(name: &str, element: Element, columns: Option<usize>) -> Message {
    let (mut rows, mut shape) = (Message::default(), Message::default());
    rows.text(2, "n");
    shape.message(1, &rows);
    if let Some(columns) = columns {
        let mut width = Message::default();
        width.int(1, columns as i64);
        shape.message(1, &width);
    }
    let (mut kind, mut typed, mut value) = (Message::default(), Message::default(), Message::default());
    kind.int(1, element as i64);
    kind.message(2, &shape);
    typed.message(1, &kind);
    value.text(1, name);
    value.message(2, &typed);
    value
}

/// An operation of the graph, and the attributes it has.
#[derive(Clone, Debug)]
pub(super) struct Node(Message);

impl Node {
    /// `domain`: empty for ONNX's own operations.
    pub(super) fn new(operation: &str, domain: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        let mut node = Message::default();
        inputs.iter().for_each(|name| node.text(1, name));
        outputs.iter().for_each(|name| node.text(2, name));
        node.text(4, operation);
        node.text(7, domain);
        Self(node)
    }

    fn attribute(mut self, name: &str, kind: i64, fill: impl FnOnce(&mut Message)) -> Self {
        let mut attribute = Message::default();
        attribute.text(1, name);
        fill(&mut attribute);
        attribute.int(20, kind);
        self.0.message(5, &attribute);
        self
    }

    pub(super) fn int(self, name: &str, number: i64) -> Self {
        self.attribute(name, 2, |attribute| attribute.int(3, number))
    }

    pub(super) fn text(self, name: &str, text: &str) -> Self {
        self.attribute(name, 3, |attribute| attribute.text(4, text))
    }

    pub(super) fn tensor(self, name: &str, tensor: &Message) -> Self {
        self.attribute(name, 4, |attribute| attribute.message(5, tensor))
    }

    pub(super) fn ints(self, name: &str, numbers: &[i64]) -> Self {
        self.attribute(name, 7, |attribute| attribute.packed(8, numbers))
    }

    pub(super) fn texts(self, name: &str, texts: &[&str]) -> Self {
        self.attribute(name, 8, |attribute| texts.iter().for_each(|text| attribute.text(9, text)))
    }
}

/// A graph under construction.
#[derive(Clone, Debug, Default)]
pub(super) struct Graph {
    pub nodes: Vec<Node>,
    pub constants: Vec<Message>,
    pub inputs: Vec<Message>,
    pub outputs: Vec<Message>,
}

impl Graph {
    /// Adds an operation of ONNX itself.
    pub(super) fn add(&mut self, operation: &str, inputs: &[&str], output: &str) {
        self.nodes.push(Node::new(operation, "", inputs, &[output]));
    }

    /// The model's bytes. `ml_version`: version of the operations on trees; `properties`: what readers may want to know.
    pub(super) fn model(self, name: &str, ml_version: i64, properties: &[(&str, String)]) -> Vec<u8> {
        let mut graph = Message::default();
        self.nodes.iter().for_each(|node| graph.message(1, &node.0));
        graph.text(2, name);
        self.constants.iter().for_each(|constant| graph.message(5, constant));
        self.inputs.iter().for_each(|input| graph.message(11, input));
        self.outputs.iter().for_each(|output| graph.message(12, output));
        let mut model = Message::default();
        model.int(1, IR_VERSION);
        model.text(2, "routewright");
        model.message(7, &graph);
        for (domain, version) in [("", ONNX_VERSION), (ML, ml_version)] {
            let mut operations = Message::default();
            operations.text(1, domain);
            operations.int(2, version);
            model.message(8, &operations);
        }
        for (key, text) in properties {
            let mut property = Message::default();
            property.text(1, key);
            property.text(2, text);
            model.message(14, &property);
        }
        model.0
    }
}

/// The domain of trees.
pub(super) const ML: &str = "ai.onnx.ml";

/// Versions that ONNX Runtime reads from 1.20 on.
const IR_VERSION: i64 = 10;
const ONNX_VERSION: i64 = 21;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_are_written_as_protocol_buffers_has_them() {
        let mut message = Message::default();
        message.int(1, 150);
        message.text(2, "testing");
        message.packed(4, &[3, 270, 86942]);
        // The examples of the encoding's documentation.
        let expected = [b"\x08\x96\x01\x12\x07testing".as_slice(), b"\x22\x06\x03\x8e\x02\x9e\xa7\x05"].concat();
        assert_eq!(message.0, expected);
    }
}
