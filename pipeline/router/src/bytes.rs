//! Little-endian numbers to and from bytes, every read checked against what is left.

/// Bytes under construction.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub Vec<u8>);

impl Writer {
    pub(crate) fn u8(&mut self, number: u8) {
        self.0.push(number);
    }

    pub(crate) fn u16(&mut self, number: u16) {
        self.0.extend(number.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, number: u32) {
        self.0.extend(number.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    pub(crate) fn i64(&mut self, number: i64) {
        self.0.extend(number.to_le_bytes());
    }

    pub(crate) fn f32(&mut self, number: f32) {
        self.0.extend(number.to_le_bytes());
    }

    pub(crate) fn f64(&mut self, number: f64) {
        self.0.extend(number.to_le_bytes());
    }

    /// A number of items; counts past 32 bits do not occur, sizes are bounded by settings.
    pub(crate) fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// Bytes with their number in front.
    pub(crate) fn block(&mut self, bytes: &[u8]) {
        self.u64(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }
}

/// Bytes that do not hold what they should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {reason}")]
pub struct FormatError {
    /// Where reading stopped.
    pub offset: usize,
    /// What was wrong there.
    pub reason: String,
}

/// Bytes being read.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// An error at the present place.
    pub(crate) fn error(&self, reason: impl Into<String>) -> FormatError {
        FormatError { offset: self.offset, reason: reason.into() }
    }

    /// The next bytes.
    pub(crate) fn take(&mut self, n_bytes: usize) -> Result<&'a [u8], FormatError> {
        let rest = self.bytes.get(self.offset..).unwrap_or_default();
        let taken = rest.get(..n_bytes).ok_or_else(|| self.error(format!("{n_bytes} bytes expected, {} left", rest.len())))?;
        self.offset += n_bytes;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, FormatError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, FormatError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FormatError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, FormatError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, FormatError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub(crate) fn f32(&mut self) -> Result<f32, FormatError> {
        Ok(f32::from_le_bytes(self.array()?))
    }

    /// A number that must be finite.
    pub(crate) fn finite(&mut self) -> Result<f64, FormatError> {
        let number = f64::from_le_bytes(self.array()?);
        if number.is_finite() { Ok(number) } else { Err(self.error("number is not finite")) }
    }

    /// A number of items of at least `item_bytes` each, at most `limit`: nothing is reserved for items that are not there.
    pub(crate) fn count(&mut self, item_bytes: usize, limit: usize) -> Result<usize, FormatError> {
        let count = self.u32()? as usize;
        let left = self.bytes.len() - self.offset;
        if count > limit || count.saturating_mul(item_bytes) > left {
            return Err(self.error(format!("{count} items where at most {limit} may be and {left} bytes are left")));
        }
        Ok(count)
    }

    /// Bytes with their number in front.
    pub(crate) fn block(&mut self) -> Result<&'a [u8], FormatError> {
        let n_bytes = self.u64()?;
        let n_bytes = usize::try_from(n_bytes).map_err(|_| self.error(format!("block of {n_bytes} bytes")))?;
        self.take(n_bytes)
    }

    /// Checks that nothing is left.
    pub(crate) fn end(&self) -> Result<(), FormatError> {
        let left = self.bytes.len() - self.offset;
        if left == 0 { Ok(()) } else { Err(self.error(format!("{left} bytes after the end"))) }
    }
}
