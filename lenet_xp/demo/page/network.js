// The network, by hand: each kind of layer of the package, forwards, and backwards to the layer's
// input; backward with `learn` also adds to the slopes of its parameters. lenet_xp/layers.py says
// why. Here x is one image: numbers in a row, maps (C, H, W).

const ACTIVATIONS = { // f, and f' written in y = f(x)
  tanh: [Math.tanh, (y) => 1 - y * y],
  scaled_tanh: [(x) => 1.7159 * Math.tanh(x * 2 / 3), (y) => (2 / 3) * (1.7159 - y * y / 1.7159)],
  relu: [(x) => Math.max(x, 0), (y) => +(y > 0)],
};

class Activation {
  constructor({ kind }, shape) { [this.f, this.slope] = ACTIVATIONS[kind]; this.shape = shape; }
  forward(x) { return this.y = x.map(this.f); }
  backward(dy) { return dy.map((each, i) => each * this.slope(this.y[i])); }
}

class Conv2D {
  constructor({ kernel, stride = 1, padding = 0, out_channels: maps, connections }, [channels, ...sides], take) {
    Object.assign(this, { kernel, stride, padding, maps, channels, sides });
    this.shape = [maps, ...sides.map((side, i) => Math.floor((side + 2 * padding - kernel[i]) / stride) + 1)];
    this.weight = take(maps * channels * kernel[0] * kernel[1]);
    this.bias = take(maps);
    const size = kernel[0] * kernel[1]; // weights between maps that are not connected count for nothing
    connections?.forEach((inputs, o) => { for (let c = 0; c < channels; c++) if (!inputs.includes(c)) this.weight.fill(0, (o * channels + c) * size, (o * channels + c + 1) * size); });
  }

  /** For each weight and each row of y: `work` of the weight, where the row begins in y and in x, and its length. */
  #rows(work) {
    const { kernel: [tall, broad], stride, padding, channels, sides: [high, wide], shape: [maps, rows, columns] } = this;
    for (let o = 0, at = 0; o < maps; o++) for (let c = 0; c < channels; c++) for (let i = 0; i < tall; i++) for (let j = 0; j < broad; j++, at++) {
      if (!this.weight[at]) continue;
      const first = Math.max(0, Math.ceil((padding - j) / stride)), last = Math.min(columns - 1, Math.floor((wide - 1 + padding - j) / stride));
      for (let row = 0; row < rows; row++) {
        const y = row * stride + i - padding;
        if (y >= 0 && y < high) work(this.weight[at], (o * rows + row) * columns + first, (c * high + y) * wide + first * stride + j - padding, last - first + 1, at);
      }
    }
  }

  forward(x) {
    const [maps, rows, columns] = this.shape, y = new Float64Array(maps * rows * columns), { stride } = this;
    this.x = x;
    for (let o = 0; o < maps; o++) y.fill(this.bias[o], o * rows * columns, (o + 1) * rows * columns);
    this.#rows((weight, to, from, count) => { for (let k = 0; k < count; k++) y[to + k] += weight * x[from + k * stride]; });
    return y;
  }

  backward(dy, learn) {
    const { x, stride, weight: { slope }, bias, shape: [, rows, columns] } = this, dx = new Float64Array(x.length);
    this.#rows((weight, from, to, count) => { for (let k = 0; k < count; k++) dx[to + k * stride] += weight * dy[from + k]; });
    if (learn) {
      this.#rows((_, from, to, count, at) => { for (let k = 0; k < count; k++) slope[at] += dy[from + k] * x[to + k * stride]; });
      dy.forEach((each, i) => { bias.slope[Math.floor(i / (rows * columns))] += each; });
    }
    return dx;
  }
}

class Linear {
  constructor({ out_features: outputs }, [inputs], take) {
    Object.assign(this, { inputs, shape: [outputs], weight: take(outputs * inputs), bias: take(outputs) });
  }

  forward(x) {
    this.x = x;
    return Float64Array.from(this.bias, (sum, o) => {
      for (let i = 0, at = o * this.inputs; i < this.inputs; i++) sum += this.weight[at + i] * x[i];
      return sum;
    });
  }

  backward(dy, learn) {
    const { x, inputs, weight } = this, dx = new Float64Array(inputs);
    dy.forEach((each, o) => {
      for (let i = 0, at = o * inputs; i < inputs; i++) dx[i] += each * weight[at + i];
      if (learn) for (let i = 0, at = o * inputs; i < inputs; i++) weight.slope[at + i] += each * x[i];
      if (learn) this.bias.slope[o] += each;
    });
    return dx;
  }
}

class Pool {
  constructor({ kind, size }, [maps, high, wide]) {
    Object.assign(this, { size, wide, high, maps, largest: kind === "maxpool2d", shape: [maps, Math.floor(high / size), Math.floor(wide / size)] });
  }

  /** For each place in y, those of its block in x. */
  #blocks(work) {
    const { size, maps, high, wide, shape: [, rows, columns] } = this, block = new Array(size * size);
    for (let map = 0, at = 0; map < maps; map++) for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++, at++) {
      const start = (map * high + row * size) * wide + column * size;
      for (let k = 0; k < block.length; k++) block[k] = start + Math.floor(k / size) * wide + k % size;
      work(at, block);
    }
  }

  forward(x) {
    const y = new Float64Array(this.shape.reduce((a, b) => a * b)), mean = 1 / this.size ** 2;
    this.x = x;
    if (this.largest) this.#blocks((at, block) => { y[at] = -Infinity; for (const i of block) y[at] = Math.max(y[at], x[i]); });
    else this.#blocks((at, block) => { for (const i of block) y[at] += x[i] * mean; });
    return y;
  }

  backward(dy) {
    const { x } = this, dx = new Float64Array(x.length), mean = 1 / this.size ** 2;
    if (this.largest) this.#blocks((at, block) => { dx[block.reduce((best, i) => x[i] > x[best] ? i : best)] += dy[at]; });
    else this.#blocks((at, block) => { for (const i of block) dx[i] += dy[at] * mean; });
    return dx;
  }
}

class MapAffine {
  constructor(_, shape, take) { Object.assign(this, { shape, coefficient: take(shape[0]), bias: take(shape[0]), area: shape[1] * shape[2] }); }
  forward(x) { this.x = x; return x.map((each, i) => each * this.coefficient[Math.floor(i / this.area)] + this.bias[Math.floor(i / this.area)]); }
  backward(dy, learn) {
    if (learn) dy.forEach((each, i) => {
      this.coefficient.slope[Math.floor(i / this.area)] += each * this.x[i];
      this.bias.slope[Math.floor(i / this.area)] += each;
    });
    return dy.map((each, i) => each * this.coefficient[Math.floor(i / this.area)]);
  }
}

class Flatten {
  constructor(_, shape) { this.shape = [shape.reduce((a, b) => a * b)]; }
  forward(x) { return x; }
  backward(dy) { return dy; }
}

class Codes { // minus the squared distance to a code of 1 and -1
  constructor({ codes }) { this.codes = codes.map((code) => Array.from(code, (each) => each === "#" ? 1 : -1)); this.shape = [codes.length]; }
  forward(x) { this.x = x; return Float64Array.from(this.codes, (code) => -code.reduce((sum, each, i) => sum + (x[i] - each) ** 2, 0)); }
  backward(dy) { return this.x.map((each, i) => this.codes.reduce((sum, code, k) => sum - 2 * (each - code[i]) * dy[k], 0)); }
}

class Rubbish { // one logit more, a constant
  constructor({ j = 0 }, [count]) { Object.assign(this, { j, shape: [count + 1] }); }
  forward(x) { return Float64Array.of(...x, -this.j); }
  backward(dy) { return dy.slice(0, -1); }
}

const KINDS = {
  conv2d: Conv2D, linear: Linear, avgpool2d: Pool, maxpool2d: Pool, map_affine: MapAffine, flatten: Flatten, codes: Codes, rubbish: Rubbish,
  tanh: Activation, scaled_tanh: Activation, relu: Activation,
};

export class Network {
  /** model: as model.json has it. numbers: Float32Array, the parameters of all layers in their order. */
  constructor({ network: { input, layers }, preprocessing: { mean, std }, temperature, class_names }, numbers) {
    Object.assign(this, { input, mean, std, temperature, classes: class_names.length, layers: [], numbers, slopes: new Float64Array(numbers.length) });
    let shape = input, at = 0;
    const take = (count) => { // parameters, and their slopes beside them
      const taken = Object.assign(numbers.subarray(at, at + count), { slope: this.slopes.subarray(at, at + count) });
      at += count;
      return taken;
    };
    for (const table of layers) {
      const layer = Object.assign(new KINDS[table.kind](table, shape, take), { kind: table.kind, name: table.name, from: shape });
      this.layers.push(layer);
      shape = layer.shape;
    }
    if (at !== numbers.length) throw new Error("the parameters are not the network's");
  }

  /** The probabilities of the classes for levels 0 to 255 in the order of `input`; `values` holds each layer's output. */
  read(levels) {
    this.values = [Float64Array.from(levels, (each) => (each / 255 - this.mean) / this.std)];
    for (const layer of this.layers) this.values.push(layer.forward(this.values.at(-1)));
    return softmax(this.values.at(-1).map((each) => each / this.temperature)).slice(0, this.classes);
  }

  /** Add the slopes of the cross-entropy of an image's levels, which show class `place`; return the loss and the class read. */
  learn(levels, place) {
    this.read(levels);
    const logits = this.values.at(-1), probabilities = softmax(logits), read = probabilities.indexOf(Math.max(...probabilities));
    const dy = probabilities.map((each, i) => each - (i === place));
    this.layers.reduceRight((d, layer) => layer.backward(d, true), dy);
    return { loss: logits[read] - logits[place] - Math.log(probabilities[read]), read };
  }

  /** The gradient of a class's logit at the input of the last reading. */
  saliency(place) {
    const dy = this.layers.at(-1).shape[0];
    return this.layers.reduceRight((d, layer) => layer.backward(d), Float64Array.from({ length: dy }, (_, i) => +(i === place)));
  }
}

function softmax(logits) {
  const most = logits.reduce((a, b) => Math.max(a, b)), weights = logits.map((each) => Math.exp(each - most));
  const sum = weights.reduce((a, b) => a + b);
  return weights.map((each) => each / sum);
}

const RING = ["ya", "yar"]; // one ring in two sizes: its height alone tells, as letters/ya_or_yar.py has it

/** Probabilities in which ya and yar share their sum by a height in letters, or evenly where it is null. */
export function shared(probabilities, names, height) {
  const [ya, yar] = RING.map((name) => names.indexOf(name));
  if (ya < 0 || yar < 0) return probabilities;
  const full = ((height - 1) / 0.2) ** 2 / 2, low = ((height - 0.5) / 0.12) ** 2 / 2;
  const share = height === null ? 0.5 : 1 / (1 + Math.exp(Math.min(30, Math.max(-30, low - full))));
  const sum = probabilities[ya] + probabilities[yar], result = probabilities.slice();
  result[ya] = share * sum;
  result[yar] = (1 - share) * sum;
  return result;
}
