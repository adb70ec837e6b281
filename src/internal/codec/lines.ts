/**
 * Lines of text.
 *
 * @internal
 */
import * as Result from "effect/Result"
import * as Excerpt from "../../Excerpt.ts"
import { isContinuation, utf8Length } from "../bytes/primitives.ts"
import { unencodable } from "./failures.ts"
import {
  type ByteBuffer,
  type ByteWriter,
  type CodecError,
  type Decoder,
  defaultMaxLength,
  FrameTooLarge,
  MalformedFrame,
  type Parts
} from "./model.ts"
import { DelimiterSearch, overlapsItself } from "./search.ts"

const encoder = new TextEncoder()

const notUtf8 = (line: Uint8Array): MalformedFrame =>
  new MalformedFrame({ problem: "the line is not UTF-8", excerpt: Excerpt.ofBytes(line), fault: "peer" })

/**
 * What is appended to so short a text is copied with it when it is written; to a longer one it is appended in a way that
 * does not copy that once more.
 */
const shortText = 4096

/**
 * So many bytes are decoded at once, or one line that is longer: what is taken in turns is not split as a whole, which may be
 * very many lines.
 */
const longestBatch = 65_536

/** Whether a text has more bytes than that in UTF-8. */
const isLongerThan = (text: string, maxLength: number): boolean =>
  // A UTF-16 unit takes one to three bytes, so most texts need not be measured.
  text.length > maxLength || (text.length * 3 > maxLength && utf8Length(text) > maxLength)

/** What the lines of one codec are. */
interface LineRules {
  readonly ending: string
  readonly delimiter: Uint8Array
  readonly maxLength: number
}

/**
 * The decoder of lines. A chunk is decoded at once, up to 64 KiB of it, and then split, which is several times as fast as line by line, and a
 * line that came in many pieces is made of their texts, so that none of its bytes is copied.
 *
 * | state | `batch` | `isBroken` | what comes next |
 * |---|---|---|---|
 * | between batches | undefined | false | the lines that are complete in the next 64 KiB are decoded, up to one that is too long |
 * | in a batch | its lines, of which `given` were taken | false | the others, whose bytes are unread still |
 * | one by one | undefined | true | one line after the other, up to the one that is not UTF-8 |
 */
class LinesDecoder implements Decoder<string> {
  protected readonly rules: LineRules
  protected readonly search: DelimiterSearch
  // Whether one of the lines that are complete is not UTF-8, so that nothing comes behind it.
  private isBroken = false
  protected batch: Array<string> | undefined = undefined
  private given = 0
  // Whether each character of the batch is one byte.
  private isAscii = true
  // How many bytes the batch has, if none of its lines is too long, and how many are known to hold no ending behind it.
  private batched = 0
  private behind = 0

  constructor(rules: LineRules) {
    this.rules = rules
    this.search = new DelimiterSearch(rules.delimiter, rules.maxLength)
  }

  decode(input: ByteBuffer): Result.Result<string, CodecError> | undefined {
    if (this.batch !== undefined) return Result.succeed(this.give(input, this.batch, 1)[0])
    const length = this.search.first(input)
    if (typeof length !== "number") return length
    const line = input.text(0, length)
    const result = line === undefined ? Result.fail(notUtf8(input.peek(0, length))) : Result.succeed(line)
    input.skip(length + this.rules.delimiter.length)
    this.search.taken()
    return result
  }

  private isTooLong(line: string): boolean {
    const { maxLength } = this.rules
    return this.isAscii ? line.length > maxLength : isLongerThan(line, maxLength)
  }

  // Decodes what is complete, once, however many lines of it are taken at a time.
  protected gather(input: ByteBuffer): Array<string> | undefined {
    if (this.isBroken) return undefined
    const { delimiter, ending, maxLength } = this.rules
    const { searched } = this.search
    const end = this.search.last(input, longestBatch)
    if (end === -1) return undefined
    // The first line may have come in many pieces, and ends behind what was searched.
    let cut = searched
    while (cut > 0 && cut > searched - 4 && isContinuation(input.at(cut))) cut--
    const head = cut === 0 ? "" : input.text(0, cut)
    const rest = input.text(cut, end)
    if (head === undefined || rest === undefined) {
      this.isBroken = true
      return undefined
    }
    const lines = rest.includes(ending) ? rest.split(ending) : [rest]
    if (head !== "") lines[0] = head + lines[0]
    this.isAscii = head.length + rest.length === end
    this.batched = end + delimiter.length
    this.behind = input.length > searched + longestBatch ? 0 : input.length - this.batched
    const long = end > maxLength ? lines.findIndex((line) => this.isTooLong(line)) : -1
    if (long !== -1) {
      this.batched = 0
      lines.length = long
      // What is wrong with the first one, `decode` says.
      if (long === 0) return undefined
    }
    this.given = 0
    return this.batch = lines
  }

  protected give(input: ByteBuffer, lines: Array<string>, max: number): Array<string> {
    const from = this.given
    const to = Math.min(lines.length, from + max)
    const isLast = to === lines.length
    const taken = from === 0 && isLast ? lines : lines.slice(from, to)
    this.given = to
    // All at once is the common case, and needs no sum.
    if (taken === lines && this.batched > 0) {
      input.skip(this.batched)
    } else {
      let size = 0
      for (const line of taken) size += (this.isAscii ? line.length : utf8Length(line)) + this.rules.delimiter.length
      input.skip(size)
    }
    this.search.taken()
    if (isLast) {
      this.batch = undefined
      if (this.batched > 0) this.search.passed(this.behind)
    }
    return taken
  }
}

/** Of lines whose ending is found from behind too: it does not overlap itself. */
class BatchingLinesDecoder extends LinesDecoder {
  decodeMany(input: ByteBuffer, max: number): Array<string> {
    const lines = this.batch ?? this.gather(input)
    return lines === undefined ? [] : this.give(input, lines, max)
  }
}

export const make = (options?: {
  readonly maxLength?: number | undefined
  readonly ending?: string | undefined
}): Parts<string, string> => {
  const maxLength = options?.maxLength ?? defaultMaxLength
  const ending = options?.ending ?? "\n"
  const delimiter = encoder.encode(ending)
  if (ending === "" || !ending.isWellFormed()) {
    throw new RangeError("Codec.lines: the ending must be a text that is not empty")
  }
  const batches = !overlapsItself(delimiter)
  const rules: LineRules = { ending, delimiter, maxLength }
  const tooLong = (line: string): Result.Result<never, CodecError> =>
    Result.fail(new FrameTooLarge({ limit: maxLength, excerpt: Excerpt.ofString(line), fault: "local" }))
  const holdsEnding = (line: string): Result.Result<never, CodecError> =>
    Result.fail(unencodable(`a line must not contain its ending ${Excerpt.ofString(ending)}`, line))
  const malformed = (line: string): Result.Result<never, CodecError> =>
    Result.fail(unencodable("a line must not contain half a surrogate pair", line))

  const encodeShort = (line: string, into: ByteWriter): Result.Result<void, CodecError> | undefined => {
    if (line.includes(ending)) return holdsEnding(line)
    if (!line.isWellFormed()) return malformed(line)
    into.string(line + ending)
    return undefined
  }
  const encode = (line: string, into: ByteWriter): Result.Result<void, CodecError> | undefined => {
    if (isLongerThan(line, maxLength)) return tooLong(line)
    if (batches && line.length < shortText) return encodeShort(line, into)
    // A line of many pieces is made one here, once, with its ending: for the checks and to be written.
    const sent = line + ending
    if (sent.indexOf(ending) !== line.length) return holdsEnding(line)
    if (!sent.isWellFormed()) return malformed(line)
    into.string(sent)
    return undefined
  }
  const encodeMany = (lines: ReadonlyArray<string>, into: ByteWriter): boolean => {
    if (lines.length <= 1) return lines.length === 0 || encode(lines[0], into) === undefined
    let length = 0
    for (const line of lines) {
      if (line.includes(ending) || isLongerThan(line, maxLength)) return false
      length += line.length
    }
    if (length < shortText) {
      const joined = lines.join(ending)
      if (!joined.isWellFormed()) return false
      into.string(joined + ending)
      return true
    }
    const sent = [...lines, ""].join(ending)
    if (!sent.isWellFormed()) return false
    into.string(sent)
    return true
  }
  return {
    decoder: () => batches ? new BatchingLinesDecoder(rules) : new LinesDecoder(rules),
    encode,
    encodeMany: batches ? encodeMany : undefined
  }
}
