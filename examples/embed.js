// The smallest engine in JavaScript, without a package: rows that enter layer 0. It shows no logits, and reads what a
// safetensors file is by itself.
//     ./assay verify --engine-cmd "node examples/embed.js" --golden e2b-blocks
'use strict';
const fs = require('fs');
const path = require('path');

/// {name: {dtype, shape, at(i)}} of a safetensors file: float32, bfloat16 and int64.
function read(file) {
  const bytes = fs.readFileSync(file);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length));
  const tensors = {};
  for (const [name, {dtype, shape, data_offsets: [first]}] of Object.entries(header).filter(([n]) => n !== '__metadata__')) {
    const start = 8 + length + first;
    const half = new DataView(new ArrayBuffer(4));
    const at = {
      F32: (i) => bytes.readFloatLE(start + 4 * i),
      BF16: (i) => (half.setUint32(0, bytes.readUInt16LE(start + 2 * i) * 65536), half.getFloat32(0)),
      I64: (i) => Number(bytes.readBigInt64LE(start + 8 * i)),
    }[dtype];
    tensors[name] = {shape, at};
  }
  return tensors;
}

function write(file, tensors) {
  const header = {};
  let end = 0;
  for (const [name, {shape, values}] of Object.entries(tensors)) {
    header[name] = {dtype: 'F32', shape, data_offsets: [end, end + values.byteLength]};
    end += values.byteLength;
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  fs.writeFileSync(file, Buffer.concat([length, text, ...Object.values(tensors).map((t) => Buffer.from(t.values.buffer))]));
}

const sessions = [];

const verbs = {
  hello: () => ({protocol: 1, name: 'embed-js', version: '1', taps: ['text.embed'], logits: 'none', cache: true, batch: true}),
  open: ({checkpoint}) => {
    const config = JSON.parse(fs.readFileSync(path.join(checkpoint, 'config.json')));
    const tensors = read(path.join(checkpoint, 'model.safetensors'));
    const table = tensors[Object.keys(tensors).find((name) => name.endsWith('embed_tokens.weight'))];
    const placeholders = ['image', 'video', 'audio'].map((kind) => config[`${kind}_token_id`]);
    return {session: sessions.push({table, placeholders, pad: (config.text_config || config).pad_token_id}) - 1};
  },
  close: ({session}) => (sessions[session] = null, {}),
  forward: ({session, inputs, outputs, taps}) => {
    const tensors = read(inputs);
    if (Object.keys(tensors).some((name) => /pixel|features/.test(name)))
      return {error: {kind: 'unsupported', message: 'pictures and sound'}};
    const {table, placeholders, pad} = sessions[session];
    const ids = tensors.input_ids;
    const hidden = table.shape[1], scale = Math.fround(Math.sqrt(hidden)), rows = ids.shape[0] * ids.shape[1];
    const values = new Float32Array(rows * hidden);
    for (let r = 0; r < rows; ++r) {
      const id = placeholders.includes(ids.at(r)) ? pad : ids.at(r);
      for (let c = 0; c < hidden; ++c) values[r * hidden + c] = table.at(id * hidden + c) * scale;
    }
    if (taps.includes('text.embed')) write(outputs, {'text.embed': {shape: [...ids.shape, hidden], values}});
    return {};
  },
  bye: () => ({}),
};

let pending = '';
const answers = Number(process.env.ASSAY_OUT || 1);
fs.createReadStream(null, {fd: Number(process.env.ASSAY_IN || 0)}).on('data', (chunk) => {
  pending += chunk;
  for (let end; (end = pending.indexOf('\n')) >= 0; pending = pending.slice(end + 1)) {
    const request = JSON.parse(pending.slice(0, end));
    const verb = verbs[request.verb];
    const answer = verb ? verb(request) : {error: {kind: 'unsupported', message: request.verb}};
    fs.writeSync(answers, JSON.stringify({id: request.id, ...answer}) + '\n');
    if (request.verb === 'bye') process.exit(0);
  }
});
