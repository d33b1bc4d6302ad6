/** What the page holds: a header and arrays, compressed and in base64 (see packing.py). */

const KINDS = {
  int8: Int8Array, int16: Int16Array, int32: Int32Array, uint8: Uint8Array, uint16: Uint16Array,
  uint32: Uint32Array, float32: Float32Array, float64: Float64Array,
};

/** Return the header, and what gives an array by its name. */
async function unpack(base64) {
  const text = atob(base64.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const whole = await new Response(stream).arrayBuffer();
  const size = new DataView(whole).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(whole, 4, size)));
  const begin = Math.ceil((4 + size) / 8) * 8;

  /** Return {data, shape}; numbers that stand for others are replaced by these. */
  function array(name) {
    const about = header.arrays[name];
    const length = about.shape.reduce((product, n) => product * n, 1);
    const codes = new KINDS[about.type](whole, begin + about.at, length);
    let data = codes;
    if (about.values) {
      const values = array(about.values).data;
      data = Float32Array.from(codes, (code) => values[code]);
    } else if (about.scales) {
      const scales = array(about.scales).data;
      const lowest = about.type === "int8" ? -128 : -32768;
      const width = length / scales.length;
      data = new Float32Array(length);
      for (let i = 0; i < length; i++) {
        data[i] = codes[i] === lowest ? -Infinity : codes[i] * scales[Math.floor(i / width)];
      }
    }
    return { data, shape: about.shape };
  }
  return { header, array };
}
