/**
 * Codecs that are each broken in one way, with the law that has to catch them.
 *
 * Each is made from one of the healthy codecs by a mistake that is easily made. A mistake that no law catches is a
 * missing law.
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Codec from "../../../src/Codec.ts"
import * as Excerpt from "../../../src/Excerpt.ts"
import { ByteWriter } from "../../../src/internal/bytes/writer.ts"
import * as Laws from "../../../src/testing/Laws.ts"

interface Specimen {
  readonly name: string
  readonly suite: (options: Laws.CheckOptions) => Laws.Suite
}

export interface Broken extends Specimen {
  readonly law: Laws.LawNumber
  /** What of the failure leads to the mistake. */
  readonly says: RegExp
  /** Laws that the same mistake may break as well. */
  readonly also: ReadonlyArray<Laws.LawNumber>
}

const broken = (
  law: Laws.LawNumber,
  says: RegExp,
  specimen: Specimen,
  also: ReadonlyArray<Laws.LawNumber> = []
): Broken => ({
  ...specimen,
  law,
  says,
  also
})

type Fails = Result.Result<never, Codec.CodecError>

const malformed = (problem: string, bytes: Uint8Array): Fails =>
  Result.fail(new Codec.MalformedFrame({ problem, excerpt: Excerpt.ofBytes(bytes), fault: "peer" }))

const unencodable = (problem: string, frame: unknown): Fails =>
  Result.fail(new Codec.MalformedFrame({ problem, excerpt: Excerpt.ofFrame(frame), fault: "local" }))

const tooLong = (limit: number, excerpt: string, fault: Codec.Fault): Fails =>
  Result.fail(new Codec.FrameTooLarge({ limit, excerpt, fault }))

const limit = 40

/** What is wrong with a bound is seen only where there is no other. */
const make = <A>(options: Parameters<typeof Codec.make<A>>[0]): Codec.Codec<A, A> =>
  Codec.make<A>({ ...options, maxLength: Infinity })

// ---------------------------------------------------------------------------------------------------------------------
// Lines of text
// ---------------------------------------------------------------------------------------------------------------------

type Line = Codec.Decoder<string>
type EncodeLine = Codec.Codec<unknown, string>["encode"]

const lineFeed = 0x0a
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
const lossy = new TextDecoder("utf-8", { ignoreBOM: true })
const utf8 = new TextEncoder()

const strictText = (bytes: Uint8Array): Result.Result<string, Codec.CodecError> => {
  try {
    return Result.succeed(strict.decode(bytes))
  } catch {
    return malformed("not UTF-8", bytes)
  }
}

const refuse = (input: Codec.ByteBuffer, maxLength: number): Fails =>
  tooLong(maxLength, Excerpt.ofBytes(input.peek(0, maxLength)), "peer")

/** The healthy one, and its parts that others have made wrong. */
const lineDecoder = (
  maxLength: number,
  { ended = strictText, refused = refuse, state = { searched: 0 } } = {}
): Line => ({
  decode: (input) => {
    const at = input.indexOf(lineFeed, state.searched)
    if (at > maxLength || (at === -1 && input.length > maxLength)) return refused(input, maxLength)
    state.searched = at === -1 ? input.length : 0
    if (at === -1) return undefined
    const line = input.take(at)
    input.skip(1)
    return ended(line)
  }
})

const encodeLine = (maxLength: number): EncodeLine => (line, into) => {
  if (utf8.encode(line).length > maxLength) return tooLong(maxLength, Excerpt.ofString(line), "local")
  if (line.includes("\n")) return unencodable("a line feed", line)
  if (!line.isWellFormed()) return unencodable("half a character", line)
  into.string(`${line}\n`)
}

const lines = (
  name: string,
  decoder: (maxLength: number) => Line,
  encode: (maxLength: number) => EncodeLine = encodeLine
): Specimen => {
  const codec = (maxLength: number) => make<string>({ decoder: () => decoder(maxLength), encode: encode(maxLength) })
  return linesOf(name, codec)
}

const linesOf = (name: string, codec: (maxLength: number) => Codec.Codec<string, string>): Specimen => ({
  name,
  suite: (options) =>
    Laws.codec(codec(limit), Schema.String, {
      ...options,
      name,
      maxLength: limit,
      // The limit counts bytes, and this is as few characters as it can be.
      ofLength: (length) => "馬".repeat(length / 3) + "x".repeat(length % 3),
      withMaxLength: codec
    })
})

const healthyLines = lines("lines", (maxLength) => lineDecoder(maxLength))

type Batch = (lines: ReadonlyArray<Uint8Array>, max: number, maxLength: number) => {
  readonly taken: number
  readonly frames: ReadonlyArray<string>
}

/** With a `decodeMany` that is given the complete lines at the front, one more than it may take. */
const batches = (name: string, batch: Batch): Specimen =>
  lines(name, (maxLength) => {
    const state = { searched: 0 }
    return {
      ...lineDecoder(maxLength, { state }),
      decodeMany: (input, max) => {
        const lines: Array<Uint8Array> = []
        for (let from = 0; lines.length <= max;) {
          const at = input.indexOf(lineFeed, Math.max(from, state.searched))
          if (at === -1) break
          lines.push(input.peek(from, at))
          from = at + 1
        }
        const { frames, taken } = batch(lines, max, maxLength)
        if (taken > 0) state.searched = 0
        for (const line of lines.slice(0, taken)) input.skip(line.length + 1)
        return [...frames]
      }
    }
  })

const texts = (lines: ReadonlyArray<Uint8Array>) => lines.map((line) => lossy.decode(line))

/** The lines before the first one that `decode` refuses. */
const sound = (lines: ReadonlyArray<Uint8Array>, maxLength: number): ReadonlyArray<Uint8Array> => {
  const bad = lines.findIndex((line) => line.length > maxLength || Result.isFailure(strictText(line)))
  return bad === -1 ? lines : lines.slice(0, bad)
}

const healthyBatches = batches("lines in batches", (lines, max, maxLength) => {
  const good = sound(lines.slice(0, max), maxLength)
  return { taken: good.length, frames: texts(good) }
})

/** With an `encodeMany` that is told whether `encode` takes each of the lines. */
const atOnce = (
  name: string,
  encodeMany: (lines: ReadonlyArray<string>, into: Codec.ByteWriter, isSound: boolean) => boolean
): Specimen =>
  linesOf(name, (maxLength) => {
    const encode = encodeLine(maxLength)
    return make<string>({
      decoder: () => lineDecoder(maxLength),
      encode,
      encodeMany: (lines, into) =>
        encodeMany(lines, into, lines.every((line) => encode(line, new ByteWriter()) === undefined))
    })
  })

const healthyAtOnce = atOnce("lines that are encoded at once", (lines, into, isSound) => {
  if (isSound) { for (const line of lines) into.string(`${line}\n`) }
  return isSound
})

// ---------------------------------------------------------------------------------------------------------------------
// Bytes behind their length
// ---------------------------------------------------------------------------------------------------------------------

type Bytes = Codec.Decoder<Uint8Array>
type EncodeBytes = Codec.Codec<unknown, Uint8Array>["encode"]

const lengthAt = (input: Codec.ByteBuffer): number => input.at(0) * 256 + input.at(1)

const prefixedDecoder = (
  maxLength: number,
  body = (input: Codec.ByteBuffer, length: number) => input.take(length)
): Bytes => ({
  decode: (input) => {
    if (input.length < 2) return undefined
    const length = lengthAt(input)
    if (length > maxLength) return tooLong(maxLength, Excerpt.ofBytes(input.peek(0, 2)), "peer")
    if (input.length < 2 + length) return undefined
    input.skip(2)
    return Result.succeed(body(input, length))
  }
})

const encodeBytes = (maxLength: number): EncodeBytes => (frame, into) => {
  if (frame.length > maxLength) return tooLong(maxLength, Excerpt.ofBytes(frame), "local")
  into.uint(frame.length, 2, "big")
  into.bytes(frame)
}

const prefixed = (
  name: string,
  decoder: (maxLength: number) => Bytes,
  encode: (maxLength: number) => EncodeBytes = encodeBytes
): Specimen => {
  const codec = (maxLength: number) =>
    make<Uint8Array>({ decoder: () => decoder(maxLength), encode: encode(maxLength) })
  return {
    name,
    suite: (options) =>
      Laws.codec(codec(limit), Schema.Uint8Array, {
        ...options,
        name,
        maxLength: limit,
        ofLength: (length) => new Uint8Array(length),
        withMaxLength: codec
      })
  }
}

const healthyPrefixed = prefixed("bytes behind their length", (maxLength) => prefixedDecoder(maxLength))

// ---------------------------------------------------------------------------------------------------------------------
// Bytes behind their number and their length
// ---------------------------------------------------------------------------------------------------------------------

/** Misses the frame that has not come. */
const numberedDecoder = (maxLength: number): Bytes => {
  let due = 0
  return {
    decode: (input) => {
      if (input.length < 3) return undefined
      const length = input.at(1) * 256 + input.at(2)
      if (length > maxLength) return tooLong(maxLength, Excerpt.ofBytes(input.peek(0, 3)), "peer")
      if (input.length < 3 + length) return undefined
      const head = input.take(3)
      return head[0] === due++ % 256 ? Result.succeed(input.take(length)) : malformed("out of turn", head)
    }
  }
}

const numberedEncoder = (
  maxLength: number,
  checkpoint = (state: { next: number }): () => void => {
    const { next } = state
    return () => {
      state.next = next
    }
  }
): Codec.Encoder<Uint8Array> => {
  const state = { next: 0 }
  return {
    encode: (frame, into) => {
      into.uint(state.next++ % 256, 1, "big")
      return encodeBytes(maxLength)(frame, into)
    },
    checkpoint: () => checkpoint(state)
  }
}

const numbered = (name: string, encoder: (maxLength: number) => Codec.Encoder<Uint8Array>): Specimen => {
  const codec = (maxLength: number) =>
    make<Uint8Array>({ decoder: () => numberedDecoder(maxLength), encoder: () => encoder(maxLength) })
  return {
    name,
    suite: (options) =>
      Laws.codec(codec(limit), Schema.Uint8Array, {
        ...options,
        name,
        maxLength: limit,
        ofLength: (length) => new Uint8Array(length),
        withMaxLength: codec
      })
  }
}

const healthyNumbered = numbered("numbered bytes behind their length", (maxLength) => numberedEncoder(maxLength))

// ---------------------------------------------------------------------------------------------------------------------
// Texts behind a kind and their length in digits, each with one spelling
// ---------------------------------------------------------------------------------------------------------------------

type Entry = readonly [kind: "put" | "get", text: string]

interface EntryRules {
  readonly kindOf: (text: string) => string
  readonly lengthOf: (digits: string) => number | undefined
  readonly textOf: (bytes: Uint8Array) => Result.Result<string, Codec.CodecError>
  readonly isEnd: (bytes: Uint8Array) => boolean
  readonly encode: (entry: Entry) => string
}

const entryRules: EntryRules = {
  kindOf: (text) => text,
  lengthOf: (digits) => /^(0|[1-9]\d?)$/.test(digits) ? Number(digits) : undefined,
  textOf: strictText,
  isEnd: ([first, second]) => first === 0x0d && second === lineFeed,
  encode: ([kind, text]) => `${kind} ${utf8.encode(text).length}\n${text}\r\n`
}

const mostEntry = 64

const entryDecoder = ({ isEnd, kindOf, lengthOf, textOf }: EntryRules): Codec.Decoder<Entry> => ({
  decode: (input) => {
    const at = input.indexOf(lineFeed, 0)
    if (at > 8 || (at === -1 && input.length > 8)) return malformed("no head", input.peek(0, 8))
    if (at === -1) return undefined
    const head = lossy.decode(input.peek(0, at))
    const space = head.indexOf(" ")
    const kind = kindOf(head.slice(0, space))
    const length = lengthOf(head.slice(space + 1))
    if (length === undefined || (kind !== "put" && kind !== "get")) return malformed("no head", input.peek(0, at))
    if (length > mostEntry) return tooLong(mostEntry, Excerpt.ofString(head), "peer")
    if (input.length < at + 3 + length) return undefined
    input.skip(at + 1)
    const text = input.take(length)
    const end = input.take(2)
    return isEnd(end) ? Result.map(textOf(text), (text) => [kind, text]) : malformed("no end", end)
  }
})

const entries = (
  name: string,
  rules: Partial<EntryRules> = {},
  options: Omit<Laws.CodecOptions<Entry>, "equals"> = { canonical: true }
): Specimen => {
  const all = { ...entryRules, ...rules }
  const codec = make<Entry>({
    decoder: () => entryDecoder(all),
    encode: (entry, into) =>
      !entry[1].isWellFormed()
        ? unencodable("half a character", entry)
        : utf8.encode(entry[1]).length > mostEntry
        ? tooLong(mostEntry, Excerpt.ofString(entry[1]), "local")
        : into.string(all.encode(entry))
  })
  const Entry = Schema.Tuple([Schema.Literals(["put", "get"]), Schema.String])
  return { name, suite: (checks) => Laws.codec(codec, Entry, { ...checks, ...options, name }) }
}

const healthyEntries = entries("texts behind a kind and their length")

// ---------------------------------------------------------------------------------------------------------------------
// Lists of texts behind their count
// ---------------------------------------------------------------------------------------------------------------------

interface ListRules {
  readonly countOf: (head: DataView) => number
  /** What the texts are put into. */
  readonly roomFor: (count: number) => Array<string>
  readonly add: (texts: Array<string>, text: string) => Array<string>
  /** Whether what has been read of a list is kept until the rest is there. */
  readonly resumes: boolean
  /** Whether the length of a text is there, or none is needed. */
  readonly isCut: (input: Codec.ByteBuffer, at: number) => boolean
}

const listRules: ListRules = {
  countOf: (head) => head.getUint32(0),
  roomFor: () => [],
  add: (texts, text) => {
    texts.push(text)
    return texts
  },
  resumes: true,
  isCut: (input, at) => at >= input.length
}

/** In bytes. */
const mostList = 10_000

const listDecoder = ({ add, countOf, isCut, resumes, roomFor }: ListRules): Codec.Decoder<ReadonlyArray<string>> => {
  let texts: Array<string> | undefined
  let at = 4
  return {
    decode: (input) => {
      if (input.length < 4) return undefined
      const head = input.peek(0, 4)
      const count = countOf(new DataView(head.buffer, head.byteOffset))
      const tooMany = () => tooLong(mostList, Excerpt.ofBytes(head), "peer")
      if (count > mostList) return tooMany()
      if (!resumes) texts = undefined
      if (texts === undefined) {
        texts = roomFor(count)
        at = 4
      }
      while (texts.length < count) {
        if (isCut(input, at)) return undefined
        const end = at + 1 + (at < input.length ? input.at(at) : 0)
        if (end > mostList) return tooMany()
        if (end > input.length) return undefined
        const text = strictText(input.peek(at + 1, end))
        if (Result.isFailure(text)) return Result.fail(text.failure)
        texts = add(texts, text.success)
        at = end
      }
      input.skip(at)
      const list = texts
      texts = undefined
      return Result.succeed(list)
    }
  }
}

const lists = (name: string, rules: Partial<ListRules> = {}): Specimen => {
  const all = { ...listRules, ...rules }
  const codec = make<ReadonlyArray<string>>({
    decoder: () => listDecoder(all),
    encode: (texts, into) => {
      const bytes = texts.map((text) => utf8.encode(text))
      if (bytes.some(({ length }) => length > 255)) return unencodable("a text is too long", texts)
      if (!texts.every((text) => text.isWellFormed())) return unencodable("half a character", texts)
      if (bytes.reduce((sum, { length }) => sum + 1 + length, 4) > mostList) {
        return tooLong(mostList, Excerpt.ofFrame(texts), "local")
      }
      into.uint(texts.length, 4, "big")
      for (const text of bytes) {
        into.uint(text.length, 1, "big")
        into.bytes(text)
      }
    }
  })
  return {
    name,
    suite: (options) => Laws.codec(codec, Schema.Array(Schema.String), { ...options, name, canonical: true })
  }
}

const healthyLists = lists("texts behind their count")

// ---------------------------------------------------------------------------------------------------------------------
// Trees in brackets
// ---------------------------------------------------------------------------------------------------------------------

type Tree = ReadonlyArray<Tree>

const Tree: Schema.Schema<Tree> = Schema.Array(Schema.Array(Schema.Array(Schema.Tuple([]))))

const encodeTree = (tree: Tree): string => `(${tree.map(encodeTree).join("")})`

const trees = (name: string, maxDepth: number): Specimen => {
  const codec = make<Tree>({
    decoder: () => {
      let depth = 0
      let at = 0
      return {
        decode: (input) => {
          for (; at < input.length; at++) {
            const byte = input.at(at)
            if ((byte !== 0x28 && byte !== 0x29) || (byte === 0x29 && depth === 0)) {
              return malformed("no bracket", input.peek(at, at + 1))
            }
            depth += byte === 0x28 ? 1 : -1
            if (depth > maxDepth) return malformed("too deep", input.peek(0, Math.min(at, 16)))
            if (at === Codec.defaultMaxLength) return tooLong(at, Excerpt.ofBytes(input.peek(0, 16)), "peer")
            if (depth > 0) continue
            const text = input.take(at + 1)
            at = 0
            let read = 1
            const inside = (): Tree => {
              const tree: Array<Tree> = []
              while (text[read++] === 0x28) tree.push(inside())
              return tree
            }
            return Result.succeed(inside())
          }
          return undefined
        }
      }
    },
    encode: (tree, into) => into.string(encodeTree(tree))
  })
  return { name, suite: (options) => Laws.codec(codec, Tree, { ...options, name, canonical: true }) }
}

const healthyTrees = trees("trees in brackets", 100)

const mask = (bytes: Uint8Array): Uint8Array => bytes.map((byte) => byte ^ 0x55)

const maskedEncode = (maxLength: number): EncodeBytes => (frame, into) => encodeBytes(maxLength)(mask(frame), into)

const maskedDecoder = (maxLength: number): Bytes =>
  prefixedDecoder(maxLength, (input, length) => mask(input.take(length)))

const healthyMasked = prefixed("masked bytes behind their length", maskedDecoder, maskedEncode)

export const healthy: ReadonlyArray<Specimen> = [
  healthyLines,
  healthyBatches,
  healthyAtOnce,
  healthyPrefixed,
  healthyNumbered,
  healthyMasked,
  healthyEntries,
  healthyLists,
  healthyTrees
]

// ---------------------------------------------------------------------------------------------------------------------
// Law 1, chunking
// ---------------------------------------------------------------------------------------------------------------------

const chunking: ReadonlyArray<Broken> = [
  broken(
    1,
    /cut behind byte|byte by byte/,
    lines("decodes each chunk on its own, so that a character which is cut becomes two halves", (maxLength) => {
      const { decode } = lineDecoder(maxLength)
      let text = ""
      let seen = 0
      return {
        decode: (input) => {
          text += lossy.decode(input.peek(seen, input.length))
          seen = input.length
          const result = decode(input)
          if (result === undefined || Result.isFailure(result)) return result
          seen = input.length
          const [line] = text.split("\n", 1)
          text = text.slice(line.length + 1)
          return Result.succeed(line)
        }
      }
    }),
    [3]
  ),
  broken(
    1,
    /FrameTooLarge/,
    lines("shows in its error whatever has arrived", (maxLength) =>
      lineDecoder(maxLength, {
        refused: (input) => tooLong(maxLength, Excerpt.ofBytes(input.peek(0, input.length)), "peer")
      }))
  ),
  broken(
    1,
    /cut behind byte|byte by byte/,
    lines("takes the end of a chunk for the end of a line", () => ({
      decode: (input) => {
        if (input.length === 0) return undefined
        const at = input.indexOf(lineFeed, 0)
        const line = strictText(input.take(at === -1 ? input.length : at))
        if (at !== -1) input.skip(1)
        return line
      }
    })),
    [3, 4]
  ),
  broken(
    1,
    /cut behind byte/,
    {
      name: "forgets that half an ending may have come already",
      suite: (options) => {
        const codec = make<string>({
          decoder: () => {
            let searched = 0
            return {
              decode: (input) => {
                for (let at = input.indexOf(0x0d, searched); at !== -1; at = input.indexOf(0x0d, at + 1)) {
                  if (at + 1 === input.length || input.at(at + 1) !== lineFeed) continue
                  searched = 0
                  const line = input.take(at)
                  input.skip(2)
                  return strictText(line)
                }
                searched = input.length
                return input.length > limit ? refuse(input, limit) : undefined
              }
            }
          },
          encode: (line, into) => /^[ -~]*$/.test(line) ? into.string(`${line}\r\n`) : unencodable("not ASCII", line)
        })
        return Laws.codec(codec, Schema.String, { ...options, name: "half an ending" })
      }
    },
    [3]
  ),
  broken(
    1,
    /decodeMany is asked for/,
    batches("gives one more in a batch than it was asked for", (lines, _, maxLength) => {
      const good = sound(lines, maxLength)
      return { taken: good.length, frames: texts(good) }
    })
  ),
  broken(
    1,
    /decodeMany is asked for/,
    batches("forgets the last line of a batch", (lines, max, maxLength) => {
      const good = sound(lines.slice(0, max), maxLength)
      return { taken: good.length, frames: texts(good.length > 1 ? good.slice(0, -1) : good) }
    })
  ),
  broken(
    1,
    /decodeMany is asked for/,
    batches("does not check in a batch whether a line is UTF-8", (lines, max, maxLength) => {
      const bad = lines.findIndex((line) => line.length > maxLength)
      const good = lines.slice(0, bad === -1 ? max : Math.min(bad, max))
      return { taken: good.length, frames: texts(good) }
    })
  )
]

// ---------------------------------------------------------------------------------------------------------------------
// Law 2, conservation
// ---------------------------------------------------------------------------------------------------------------------

const conservation: ReadonlyArray<Broken> = [
  broken(
    2,
    /behind it as well/,
    lines("drops what came with a line", (maxLength) => {
      const { decode } = lineDecoder(maxLength)
      return {
        decode: (input) => {
          const result = decode(input)
          if (result !== undefined) input.skip(input.length)
          return result
        }
      }
    }),
    [1, 12]
  ),
  broken(
    2,
    /1 byte too many/,
    lines("skips the line feeds that follow a line, as if they were padding", (maxLength) => {
      const { decode } = lineDecoder(maxLength)
      return {
        decode: (input) => {
          const result = decode(input)
          if (result === undefined) return undefined
          while (input.length > 0 && input.at(0) === lineFeed) input.skip(1)
          return result
        }
      }
    }),
    [1, 12]
  ),
  broken(
    2,
    /takes .* and asks for more/,
    prefixed("takes the length as soon as it is there", (maxLength) => {
      let length: number | undefined
      return {
        decode: (input) => {
          if (length === undefined) {
            if (input.length < 2) return undefined
            length = lengthAt(input)
            if (length > maxLength) return tooLong(maxLength, Excerpt.ofBytes(input.peek(0, 2)), "peer")
            input.skip(2)
          }
          if (input.length < length) return undefined
          const frame = input.take(length)
          length = undefined
          return Result.succeed(frame)
        }
      }
    }),
    [3]
  ),
  broken(
    2,
    /behind the unread bytes with at\(\d\) of \d unread/,
    prefixed("reads the length before all of it is there", (maxLength) => {
      const { decode } = prefixedDecoder(maxLength)
      return {
        decode: (input) => {
          const length = lengthAt(input)
          return Number.isNaN(length) ? undefined : decode(input)
        }
      }
    })
  ),
  broken(
    2,
    /behind the unread bytes with take/,
    prefixed("takes a frame that is not all there", (maxLength) => ({
      decode: (input) => {
        if (input.length < 2) return undefined
        const length = lengthAt(input)
        if (length > maxLength) return tooLong(maxLength, Excerpt.ofBytes(input.peek(0, 2)), "peer")
        input.skip(2)
        return Result.succeed(input.take(length))
      }
    }))
  ),
  broken(
    2,
    /behind the unread bytes with take\(-/,
    prefixed("reads a length as a signed number", (maxLength) => ({
      decode: (input) => {
        if (input.length < 2) return undefined
        const length = new DataView(input.peek(0, 2).slice().buffer).getInt16(0)
        if (length > maxLength) return tooLong(maxLength, Excerpt.ofBytes(input.peek(0, 2)), "peer")
        if (input.length < 2 + length) return undefined
        input.skip(2)
        return Result.succeed(input.take(length))
      }
    }))
  ),
  broken(
    2,
    /2147483647 at byte 0.*behind the unread bytes with take/s,
    {
      name: "adds to a length in 32 bits",
      suite: (options) => {
        const codec = make<Uint8Array>({
          decoder: () => ({
            decode: (input) => {
              if (input.length < 4) return undefined
              const head = input.peek(0, 4)
              const length = new DataView(head.buffer, head.byteOffset).getUint32(0)
              if (length >= 2 ** 31) return tooLong(limit, Excerpt.ofBytes(head), "peer")
              const end = (4 + length) | 0
              if (end > 4 + limit) return tooLong(limit, Excerpt.ofBytes(head), "peer")
              if (input.length < end) return undefined
              input.skip(4)
              return Result.succeed(input.take(length))
            }
          }),
          encode: (frame, into) => {
            if (frame.length > limit) return tooLong(limit, Excerpt.ofBytes(frame), "local")
            into.uint(frame.length, 4, "big")
            into.bytes(frame)
          }
        })
        return Laws.codec(codec, Schema.Uint8Array, { ...options, name: "32 bits" })
      }
    }
  ),
  broken(
    2,
    /behind the unread bytes with indexOf/,
    lines("takes a line in a batch and still counts it as searched", (maxLength) => ({
      ...lineDecoder(maxLength),
      decodeMany: (input, max) => {
        const at = max > 0 ? input.indexOf(lineFeed, 0) : -1
        if (at === -1 || at > maxLength || Result.isFailure(strictText(input.peek(0, at)))) return []
        const line = lossy.decode(input.take(at))
        input.skip(1)
        return [line]
      }
    })),
    [1]
  ),
  broken(
    2,
    /has become/,
    prefixed("gives out the same memory for each frame", (maxLength) => {
      const scratch = new Uint8Array(maxLength)
      return prefixedDecoder(maxLength, (input, length) => {
        scratch.set(input.take(length))
        return scratch.subarray(0, length)
      })
    })
  ),
  broken(
    2,
    /the decoder has written to them/,
    prefixed(
      "unmasks a frame where it lies",
      (maxLength) =>
        prefixedDecoder(maxLength, (input, length) => {
          const frame = input.take(length)
          frame.set(mask(frame))
          return frame
        }),
      maskedEncode
    )
  ),
  broken(
    2,
    /the frame stays as it is/,
    prefixed(
      "masks a frame where it lies",
      maskedDecoder,
      (maxLength) => (frame, into) => {
        frame.set(mask(frame))
        return encodeBytes(maxLength)(frame, into)
      }
    ),
    [7, 10, 12]
  ),
  broken(
    2,
    /nothing of what was refused|unread/,
    (() => {
      let held: Array<string> = []
      return lines(
        "keeps a line that it has refused, and sends it with the next one",
        lineDecoder,
        (maxLength) => (line, into) => {
          held.push(line.replaceAll("\n", "").toWellFormed())
          const result = encodeLine(maxLength)(line, into)
          if (Result.isResult(result)) return result
          held.slice(0, -1).forEach((other) => into.string(`${other}\n`))
          held = []
        }
      )
    })(),
    [4, 7, 10, 12]
  )
]

// ---------------------------------------------------------------------------------------------------------------------
// Law 3, truncation
// ---------------------------------------------------------------------------------------------------------------------

const truncation: ReadonlyArray<Broken> = [
  broken(
    3,
    /asked again/,
    lines("takes a pause for the end of the line", (maxLength) => {
      const { decode } = lineDecoder(maxLength)
      let waited = 0
      return {
        decode: (input) => {
          const result = decode(input)
          if (result !== undefined || input.length === 0 || input.length !== waited) {
            waited = result === undefined ? input.length : 0
            return result
          }
          return strictText(input.take(input.length))
        }
      }
    })
  ),
  broken(
    3,
    /fails with .*half a length/,
    prefixed("takes half a length for a mistake", (maxLength) => {
      const { decode } = prefixedDecoder(maxLength)
      return {
        decode: (input) =>
          input.length === 1
            ? malformed("half a length", input.peek(0, input.length))
            : decode(input)
      }
    }),
    [1, 4]
  ),
  broken(
    3,
    /gives the frame/,
    prefixed("gives what there is of a frame", (maxLength) => ({
      decode: (input) => {
        if (input.length < 2) return undefined
        const length = lengthAt(input)
        if (length > maxLength) return tooLong(maxLength, Excerpt.ofBytes(input.peek(0, 2)), "peer")
        input.skip(2)
        return Result.succeed(input.take(Math.min(length, input.length)))
      }
    })),
    [1, 4]
  ),
  broken(
    3,
    /when it is complete/,
    lines("gives up when it is asked twice", (maxLength) => {
      const { decode } = lineDecoder(maxLength)
      let asked = 0
      let broken = false
      return {
        decode: (input) => {
          const before = input.length
          const result = broken ? undefined : decode(input)
          broken ||= result === undefined && before > 0 && asked === before
          asked = before
          return result
        }
      }
    })
  )
]

// ---------------------------------------------------------------------------------------------------------------------
// Law 4, oversize
// ---------------------------------------------------------------------------------------------------------------------

const oversize: ReadonlyArray<Broken> = [
  broken(4, /without end/, {
    name: "has no limit at all",
    suite: (options) =>
      Laws.codec(
        make<string>({ decoder: () => lineDecoder(Infinity), encode: encodeLine(Infinity) }),
        Schema.String,
        { ...options, name: "no limit" }
      )
  }),
  broken(
    4,
    /looks at the limit too late/,
    lines("looks at the limit only when the line is complete", (maxLength) => {
      let searched = 0
      return {
        decode: (input) => {
          const at = input.indexOf(lineFeed, searched)
          searched = at === -1 ? input.length : 0
          if (at === -1) return undefined
          if (at > maxLength) return refuse(input, maxLength)
          const line = input.take(at)
          input.skip(1)
          return strictText(line)
        }
      }
    })
  ),
  broken(
    4,
    /a frame of 41 where the limit is 40, arrives/,
    lines(
      "lets one byte more through",
      (maxLength) => lineDecoder(maxLength + 1, { refused: (input) => refuse(input, maxLength) })
    )
  ),
  broken(
    4,
    /exactly the limit of 40, arrives/,
    lines(
      "refuses the limit itself",
      (maxLength) => lineDecoder(maxLength - 1, { refused: (input) => refuse(input, maxLength) })
    )
  ),
  broken(
    4,
    /exactly the limit of 40, is encoded/,
    lines("does not send the limit itself", lineDecoder, (maxLength) => encodeLine(maxLength - 1))
  ),
  broken(
    4,
    /a frame of 41 where the limit is 40, is encoded/,
    lines("sends lines of any length", lineDecoder, () => encodeLine(Infinity)),
    [12]
  ),
  broken(
    4,
    /a frame of 41 where the limit is 40, is encoded/,
    lines(
      "counts characters when it sends, and bytes when it receives",
      lineDecoder,
      (maxLength) => (line, into) =>
        line.length > maxLength ? encodeLine(maxLength)(line, into) : encodeLine(Infinity)(line, into)
    )
  ),
  broken(
    4,
    /decodeMany/,
    batches("knows no limit in a batch", (lines, max) => {
      const good = sound(lines.slice(0, max), Infinity)
      return { taken: good.length, frames: texts(good) }
    })
  ),
  broken(
    4,
    /none is longer than the limit/,
    lines("measures all that is there instead of one line", (maxLength) => {
      const { decode } = lineDecoder(maxLength)
      return { decode: (input) => input.length > maxLength + 1 ? refuse(input, maxLength) : decode(input) }
    }),
    [1]
  ),
  broken(
    4,
    /before anything is allocated/,
    prefixed("makes room for a frame before it looks at the limit", (maxLength) => {
      const { decode } = prefixedDecoder(maxLength)
      let room: Uint8Array | undefined
      return {
        decode: (input) => {
          if (input.length < 2) return undefined
          room ??= new Uint8Array(lengthAt(input))
          const result = decode(input)
          if (result !== undefined) room = undefined
          return result
        }
      }
    })
  ),
  broken(
    4,
    /\d+ at byte \d.*in proportion.*bytes are allocated when \d+ have arrived/s,
    lists("makes room for as many as are said to come", {
      roomFor: (count) => {
        // As much as the texts will need, at least.
        const room = Array.from({ length: 16 * count }, (_, i) => `${i}`)
        room.length = 0
        return room
      }
    })
  ),
  broken(
    4,
    /how deep it goes is bounded.*Maximum call stack/s,
    trees("goes as deep as its peer likes", Infinity)
  ),
  broken(
    4,
    /"\\x00".* times in one piece.*Maximum call stack/s,
    {
      name: "passes over empty frames by calling itself",
      suite: (options) => {
        const decoder = (): Bytes => {
          const { decode } = prefixedDecoder(limit)
          const next = (input: Codec.ByteBuffer): ReturnType<Bytes["decode"]> => {
            if (input.length < 2 || lengthAt(input) > 0) return decode(input)
            input.skip(2)
            return next(input)
          }
          return { decode: next }
        }
        const codec = make<Uint8Array>({
          decoder,
          encode: (frame, into) => frame.length === 0 ? unencodable("empty", frame) : encodeBytes(limit)(frame, into)
        })
        return Laws.codec(codec, Schema.Uint8Array, { ...options, name: "empty frames" })
      }
    },
    [2, 3]
  ),
  broken(
    4,
    /limit 40/,
    prefixed("tells a wrong limit", (maxLength) => {
      const { decode } = prefixedDecoder(maxLength)
      return {
        decode: (input) => {
          const result = decode(input)
          return result !== undefined && Result.isFailure(result) ? tooLong(0, "\"\"", "peer") : result
        }
      }
    })
  )
]

// ---------------------------------------------------------------------------------------------------------------------
// Law 5, wrong turn
// ---------------------------------------------------------------------------------------------------------------------

const wrongTurn: ReadonlyArray<Broken> = [
  broken(
    5,
    /throws RangeError: Invalid array length/,
    lists("takes a count for the length of an array", {
      countOf: (head) => head.getInt32(0),
      roomFor: (count) => new Array<string>(count).slice(0, 0)
    })
  ),
  broken(
    5,
    /throws TypeError/,
    lines(
      "throws what is not UTF-8",
      (maxLength) => lineDecoder(maxLength, { ended: (bytes) => Result.succeed(strict.decode(bytes)) })
    )
  ),
  broken(
    5,
    /neither of the two/,
    lines("fails with a text", (maxLength) =>
      lineDecoder(maxLength, {
        ended: (bytes) => {
          const text = strictText(bytes)
          // What a codec in JavaScript could do.
          return Result.isSuccess(text) ? text : Result.fail("not UTF-8" as unknown as Codec.CodecError)
        }
      }))
  ),
  broken(
    5,
    /characters long/,
    {
      name: "shows all of what is wrong",
      suite: (options) => {
        const codec = make<string>({
          decoder: () =>
            lineDecoder(Codec.defaultMaxLength, {
              ended: (bytes) =>
                Result.mapError(
                  strictText(bytes),
                  () => new Codec.MalformedFrame({ problem: "no", excerpt: JSON.stringify([...bytes]), fault: "peer" })
                )
            }),
          encode: encodeLine(Codec.defaultMaxLength)
        })
        return Laws.codec(codec, Schema.String, { ...options, name: "shows all of what is wrong" })
      }
    }
  ),
  broken(
    5,
    /not printable/,
    lines("shows what a peer has sent as it is", (maxLength) =>
      lineDecoder(maxLength, {
        ended: (bytes) =>
          Result.mapError(strictText(bytes), () =>
            new Codec.MalformedFrame({ problem: "no", excerpt: lossy.decode(bytes), fault: "peer" }))
      }))
  ),
  broken(
    5,
    /its fault is "local"/,
    lines("blames its own side for what the peer has sent", (maxLength) =>
      lineDecoder(maxLength, {
        ended: (bytes) =>
          Result.mapError(strictText(bytes), () =>
            new Codec.MalformedFrame({ problem: "no", excerpt: "", fault: "local" }))
      }))
  ),
  broken(
    5,
    /returns null/,
    lines("returns null to ask for more", (maxLength) => {
      const { decode } = lineDecoder(maxLength)
      return { decode: (input) => decode(input) ?? (null as unknown as undefined) }
    }),
    [1, 4, 12]
  ),
  broken(
    5,
    /is encoded\n.*\n.*throws URIError/,
    lines("throws at half a character that is to be sent", lineDecoder, (maxLength) => (line, into) => {
      encodeURIComponent(line)
      return encodeLine(maxLength)(line, into)
    })
  )
]

// ---------------------------------------------------------------------------------------------------------------------
// Law 7, interruption
// ---------------------------------------------------------------------------------------------------------------------

const interruption: ReadonlyArray<Broken> = [
  broken(
    7,
    /without the others/,
    numbered("counts the frames that were not sent", (maxLength) => numberedEncoder(maxLength, () => () => {})),
    [2]
  ),
  broken(
    7,
    /without the others/,
    numbered(
      "forgets only the last of the frames that were not sent",
      (maxLength) =>
        numberedEncoder(maxLength, (state) => () => {
          state.next--
        })
    ),
    [2]
  ),
  broken(
    7,
    /without the others/,
    numbered("goes back to the last place that it was told to remember", (maxLength) => {
      let remembered = 0
      return numberedEncoder(maxLength, (state) => {
        remembered = state.next
        return () => {
          state.next = remembered
        }
      })
    })
  ),
  broken(
    7,
    /receives what it does without the others/,
    (() => {
      let held: Array<string> = []
      return linesOf("sends with the next line what it has refused to encode at once", (maxLength) => {
        const encode = encodeLine(maxLength)
        const isSound = (line: string) => encode(line, new ByteWriter()) === undefined
        return make<string>({
          decoder: () => lineDecoder(maxLength),
          encode: (line, into) => {
            for (const other of held) into.string(`${other}\n`)
            held = []
            return encode(line, into)
          },
          encodeMany: (lines, into) => {
            if (!lines.every(isSound)) {
              held = lines.filter(isSound)
              return false
            }
            for (const line of lines) into.string(`${line}\n`)
            return true
          }
        })
      })
    })(),
    [2, 10, 12]
  ),
  broken(
    7,
    /what is encoded without the others/,
    numbered("has less room for each frame that was not sent", (maxLength) => {
      const { checkpoint, encode } = numberedEncoder(maxLength)
      // As many as come in one case.
      let room = 4
      return {
        encode: (frame, into) => --room < 0 ? unencodable("the peer takes no more", frame) : encode(frame, into),
        checkpoint
      }
    }),
    [2, 12]
  )
]

// ---------------------------------------------------------------------------------------------------------------------
// Law 8, linear cost
// ---------------------------------------------------------------------------------------------------------------------

const linear: ReadonlyArray<Broken> = [
  broken(
    8,
    /array of 8192 times .*bytes (of it )?take [\d.]+ ms/s,
    lists("adds up all texts with each of them", {
      add: (texts, text) => {
        texts.push(text)
        return texts.reduce((sum, { length }) => sum + length, 0) > mostList ? [] : texts
      }
    })
  ),
  broken(
    8,
    /most of them with (at|peek)/,
    lists("begins a list anew with each chunk", { resumes: false })
  ),
  broken(
    8,
    /each call ends/,
    {
      name: "goes on for ever at a part of no length",
      suite: (options) => {
        // Each part says how long all of it is, and the last one is 255.
        const codec = make<Uint8Array>({
          decoder: () => ({
            decode: (input) => {
              for (let at = 0; at < Math.min(input.length, 1024);) {
                const part = input.at(at)
                if (part === 255) return Result.succeed(input.take(at + 1))
                at += part
              }
              return input.length < 1024 ? undefined : tooLong(1024, Excerpt.ofBytes(input.peek(0, 16)), "peer")
            }
          }),
          encode: (frame, into) => into.bytes(frame)
        })
        const parts = Schema.Literals([1, 2, 3])
        return Laws.codec(
          codec,
          Arbitrary.map(Arbitrary.schema(parts), (part) => {
            const frame = new Uint8Array(part + 1).fill(part)
            frame[part] = 255
            return frame
          }),
          { ...options, name: "parts" }
        )
      }
    }
  ),
  broken(
    8,
    /indexOf/,
    lines("searches a line from its beginning with each chunk", (maxLength) => {
      const state = { searched: 0 }
      const { decode } = lineDecoder(maxLength, { state })
      return {
        decode: (input) => {
          state.searched = 0
          return decode(input)
        }
      }
    })
  ),
  broken(
    8,
    /peek/,
    lines("looks at all that is there with each chunk", (maxLength) => {
      const { decode } = lineDecoder(maxLength)
      return {
        decode: (input) =>
          input.peek(0, input.length).includes(lineFeed) || input.length > maxLength ? decode(input) : undefined
      }
    })
  ),
  broken(
    8,
    /with at/,
    prefixed("adds up a frame that is not complete", (maxLength) => {
      const { decode } = prefixedDecoder(maxLength)
      return {
        decode: (input) => {
          let sum = 0
          for (let i = 2; i < Math.min(input.length, 2 + maxLength); i++) sum += input.at(i)
          return sum >= 0 ? decode(input) : undefined
        }
      }
    })
  ),
  broken(
    8,
    /again and again, in pieces of 2048/,
    lines("counts all lines that are there before it gives one", (maxLength) => {
      const { decode } = lineDecoder(maxLength)
      let counted = 0
      return {
        decode: (input) => {
          const before = input.length
          let count = 0
          for (let i = counted; i < before; i++) if (input.at(i) === lineFeed) count++
          const result = decode(input)
          counted = count > 1 || result !== undefined ? 0 : before
          return result
        }
      }
    })
  ),
  broken(
    8,
    /to decodeMany/,
    lines("searches all lines that are there, to give a few of them", (maxLength) => {
      const state = { searched: 0 }
      return {
        ...lineDecoder(maxLength, { state }),
        decodeMany: (input, max) => {
          const all = input.peek(0, input.length)
          const lines: Array<Uint8Array> = []
          for (let from = 0; lines.length < max;) {
            const at = all.indexOf(lineFeed, from)
            if (at === -1) break
            lines.push(all.subarray(from, at))
            from = at + 1
          }
          const good = sound(lines, maxLength)
          if (good.length > 0) state.searched = 0
          for (const line of good) input.skip(line.length + 1)
          return texts(good)
        }
      }
    })
  )
]

// ---------------------------------------------------------------------------------------------------------------------
// Law 10, isolation
// ---------------------------------------------------------------------------------------------------------------------

const isolation: ReadonlyArray<Broken> = [
  broken(
    10,
    /on one connection/,
    linesOf("keeps how far it has searched in the codec", (maxLength) => {
      const state = { searched: 0 }
      return make<string>({ decoder: () => lineDecoder(maxLength, { state }), encode: encodeLine(maxLength) })
    }),
    [1, 2, 7, 12]
  ),
  broken(
    10,
    /on one connection/,
    linesOf("has one decoder for all connections", (maxLength) => {
      const decoder = lineDecoder(maxLength)
      return make<string>({ decoder: () => decoder, encode: encodeLine(maxLength) })
    }),
    [1, 2, 7, 12]
  ),
  broken(
    10,
    /on one connection/,
    linesOf("decodes the chunks of all connections as one text", (maxLength) => {
      const shared = new TextDecoder("utf-8", { ignoreBOM: true })
      return make<string>({
        decoder: () => {
          const { decode } = lineDecoder(maxLength)
          let text = ""
          let seen = 0
          return {
            decode: (input) => {
              text += shared.decode(input.peek(seen, input.length), { stream: true })
              seen = input.length
              const result = decode(input)
              if (result === undefined || Result.isFailure(result)) return result
              seen = input.length
              const [line] = text.split("\n", 1)
              text = text.slice(line.length + 1)
              return Result.succeed(line)
            }
          }
        },
        encode: encodeLine(maxLength)
      })
    }),
    [1]
  ),
  broken(
    10,
    /encoded for one connection, and in turns/,
    (() => {
      let sent = 0
      return prefixed(
        "counts the frames of all connections together",
        (maxLength) => {
          // The count is not a part of the frame.
          const { decode } = prefixedDecoder(maxLength + 1)
          let due: number | undefined
          return {
            decode: (input) => {
              const result = decode(input)
              if (result === undefined || Result.isFailure(result)) return result
              const [count, ...frame] = result.success
              if (count === undefined || (due !== undefined && due !== count)) {
                return malformed("out of turn", result.success)
              }
              due = (count + 1) % 256
              return Result.succeed(Uint8Array.from(frame))
            }
          }
        },
        (maxLength) => (frame, into) =>
          frame.length > maxLength
            ? encodeBytes(maxLength)(frame, into)
            : encodeBytes(maxLength + 1)(Uint8Array.of(sent++, ...frame), into)
      )
    })(),
    [4, 7]
  )
]

// ---------------------------------------------------------------------------------------------------------------------
// Law 12, agreement
// ---------------------------------------------------------------------------------------------------------------------

const agreement: ReadonlyArray<Broken> = [
  broken(
    12,
    /are given to encodeMany, which encodes them to/,
    atOnce("puts line feeds only between the lines that it encodes at once", (lines, into, isSound) => {
      if (isSound) into.string(lines.join("\n"))
      return isSound
    })
  ),
  broken(
    12,
    /for encode refuses one of them/,
    atOnce("encodes at once what it refuses one by one", (lines, into) => {
      for (const line of lines) into.string(`${line}\n`)
      return true
    })
  ),
  broken(
    12,
    /has appended nothing/,
    atOnce("leaves behind what it has encoded before it refuses", (lines, into, isSound) => {
      for (const line of lines) into.string(`${line}\n`)
      return isSound
    })
  ),
  broken(
    12,
    /is encoded, to/,
    lines("takes a carriage return for a part of the line's end", (maxLength) =>
      lineDecoder(maxLength, {
        ended: (bytes) => Result.map(strictText(bytes), (line) => line.replace(/\r$/, ""))
      }))
  ),
  broken(
    12,
    /is encoded, to/,
    lines("sends a line feed inside a line", lineDecoder, (maxLength) => (line, into) => {
      const result = encodeLine(maxLength)(line.replaceAll("\n", " "), new ByteWriter())
      return result ?? into.string(`${line}\n`)
    })
  ),
  broken(
    12,
    /is encoded, to/,
    lines(
      "drops a line feed inside a line",
      lineDecoder,
      (maxLength) => (line, into) => encodeLine(maxLength)(line.replaceAll("\n", ""), into)
    )
  ),
  broken(
    12,
    /is encoded, to/,
    lines(
      "sends a replacement for half a character",
      lineDecoder,
      (maxLength) => (line, into) => encodeLine(maxLength)(line.toWellFormed(), into)
    )
  ),
  broken(
    12,
    /is encoded, to/,
    lines("drops a byte order mark", (maxLength) =>
      lineDecoder(maxLength, {
        ended: (bytes) => Result.map(strictText(bytes), (line) => line.replace(/^\ufeff/, ""))
      }))
  ),
  broken(
    12,
    /no frame|asks for more/,
    lines("skips empty lines", (maxLength) => {
      const { decode } = lineDecoder(maxLength)
      return {
        decode: (input) => {
          let result = decode(input)
          while (result !== undefined && Result.isSuccess(result) && result.success === "") result = decode(input)
          return result
        }
      }
    }),
    [2, 4]
  ),
  broken(
    12,
    /is encoded, to/,
    prefixed("sends the length the other way round", prefixedDecoder, (maxLength) => (frame, into) => {
      if (frame.length > maxLength) return tooLong(maxLength, Excerpt.ofBytes(frame), "local")
      into.uint(frame.length, 2, "little")
      into.bytes(frame)
    })
  ),
  broken(
    12,
    /"(put|get) 0\d.* is encoded to/s,
    entries("takes a length with zeros before it", {
      lengthOf: (digits) => /^\d+$/.test(digits) ? Number(digits) : undefined
    })
  ),
  broken(
    12,
    /("\d+" at byte \d written as|put in|each \\n written as).* is encoded to/s,
    entries("reads a length as JavaScript reads a number", {
      lengthOf: (digits) => Number.isInteger(Number(digits)) && Number(digits) >= 0 ? Number(digits) : undefined
    })
  ),
  broken(
    12,
    /(put in|written as).* is encoded to/s,
    entries("reads a length as far as it is one", {
      lengthOf: (digits) => parseInt(digits, 10) >= 0 ? parseInt(digits, 10) : undefined
    })
  ),
  broken(
    12,
    /("[a-z]" at byte \d written as "[A-Z]"|each letter in the other case).* is encoded to/s,
    entries("takes a kind in capitals", { kindOf: (text) => text.toLowerCase() })
  ),
  broken(
    12,
    /("\\(r|n)" at byte \d+ |each .* written as).* is encoded to/s,
    entries("does not look at what ends a text", { isEnd: () => true })
  ),
  broken(
    12,
    /written as "\\x[89].*\\x00".* is encoded to/s,
    {
      name: "takes varints that are longer than they need to be",
      suite: (options) =>
        Laws.codec(Codec.lengthPrefixed({ bytes: "varint", overlong: true, maxLength: limit }), Schema.Uint8Array, {
          ...options,
          name: "overlong varints",
          canonical: true
        })
    }
  ),
  broken(
    12,
    /encoding that fails with MalformedFrame \(local\): empty/,
    {
      name: "receives what it does not send",
      suite: (options) => {
        const codec = Codec.lines({ maxLength: limit })
        const noEmpty = make<string>({
          decoder: codec.decoder,
          encode: (line, into) => line === "" ? unencodable("empty", line) : codec.encode(line, into)
        })
        return Laws.codec(noEmpty, Schema.String, { ...options, name: "no empty lines", canonical: true })
      }
    }
  ),
  broken(
    12,
    /what encode gives for each of them/,
    {
      name: "ends lines in another way where it encodes them at once",
      suite: (options) => {
        const codec = make<string>({
          decoder: () =>
            lineDecoder(limit, { ended: (bytes) => Result.map(strictText(bytes), (line) => line.trimEnd()) }),
          encode: (line, into) =>
            /^[!-~]{0,39}$/.test(line) ? into.string(`${line}\n`) : unencodable("not a word", line),
          encodeMany: (lines, into) => {
            const isSound = lines.every((line) => /^[!-~]{0,39}$/.test(line))
            if (isSound) { for (const line of lines) into.string(`${line} \n`) }
            return isSound
          }
        })
        return Laws.codec(codec, Schema.String, { ...options, name: "two endings", canonical: true })
      }
    }
  ),
  broken(
    12,
    /with \\xff at byte \d+.*U\+FFFD in the place/s,
    entries("takes what is not UTF-8 for text", { textOf: (bytes) => Result.succeed(lossy.decode(bytes)) }, {})
  ),
  broken(12, /\(256 bytes\) is encoded/, {
    name: "has one byte for the length, and no limit",
    suite: (options) => {
      const codec = make<Uint8Array>({
        decoder: () => ({
          decode: (input) => {
            if (input.length === 0 || input.length < 1 + input.at(0)) return undefined
            const length = input.at(0)
            input.skip(1)
            return Result.succeed(input.take(length))
          }
        }),
        encode: (frame, into) => {
          into.uint(frame.length, 1, "big")
          into.bytes(frame)
        }
      })
      return Laws.codec(codec, Schema.Uint8Array, { ...options, name: "one byte for the length" })
    }
  }),
  broken(
    12,
    /in one write/,
    (() => {
      const scratch = new Uint8Array(4096)
      return prefixed("writes each frame into the same memory", prefixedDecoder, (maxLength) => (frame, into) => {
        if (frame.length > maxLength) return tooLong(maxLength, Excerpt.ofBytes(frame), "local")
        scratch.set(frame)
        into.uint(frame.length, 2, "big")
        into.bytes(scratch.subarray(0, frame.length))
      })
    })()
  )
]

/** All of them. */
export const gallery: ReadonlyArray<Broken> = [
  ...chunking,
  ...conservation,
  ...truncation,
  ...oversize,
  ...wrongTurn,
  ...interruption,
  ...linear,
  ...isolation,
  ...agreement
]
