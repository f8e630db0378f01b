//! Numbers and texts as bytes: LEB128 varints, zigzag for signed, length first for texts.

/// Appends `value`, seven bits a byte, lowest first.
#[inline]
pub(super) fn put_var(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Appends a signed value: 0, -1, 1, -2 … become 0, 1, 2, 3 ….
#[inline]
pub(super) fn put_zig(out: &mut Vec<u8>, value: i64) {
    put_var(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Appends length and bytes.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_var(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Why bytes could not be read; a fragment for a message.
pub(super) type Fault = &'static str;

/// Reads what the functions above wrote; never past the end.
#[derive(Clone, Debug)]
pub(super) struct Take<'a> {
    rest: &'a [u8],
}

impl<'a> Take<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, Fault> {
        let (&first, rest) = self.rest.split_first().ok_or("it ends inside an event")?;
        self.rest = rest;
        Ok(first)
    }

    #[inline]
    pub(super) fn var(&mut self) -> Result<u64, Fault> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number is longer than 64 bits")
    }

    #[inline]
    pub(super) fn zig(&mut self) -> Result<i64, Fault> {
        let raw = self.var()?;
        Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        u32::try_from(self.var()?).map_err(|_| "a number is longer than 32 bits")
    }

    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        u16::try_from(self.var()?).map_err(|_| "a number is longer than 16 bits")
    }

    pub(super) fn i32(&mut self) -> Result<i32, Fault> {
        i32::try_from(self.zig()?).map_err(|_| "a number is longer than 32 bits")
    }

    pub(super) fn bool(&mut self) -> Result<bool, Fault> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err("a yes or no is neither"),
        }
    }

    pub(super) fn slice(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or("it ends inside an event")?;
        self.rest = rest;
        Ok(head)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let len = usize::try_from(self.var()?).map_err(|_| "a length is out of range")?;
        self.slice(len)
    }

    pub(super) fn text(&mut self) -> Result<String, Fault> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| "a text is not UTF-8")
    }

    /// How many items follow, each at least one byte long: bounds what a reader may reserve.
    pub(super) fn count(&mut self) -> Result<usize, Fault> {
        let count = usize::try_from(self.var()?).map_err(|_| "a count is out of range")?;
        if count > self.rest.len() { Err("a count is larger than what follows") } else { Ok(count) }
    }
}
