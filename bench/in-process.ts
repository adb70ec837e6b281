/**
 * Measures a codec in a process of its own, so that no other codec has shaped what the compiler knows, and prints JSON.
 *
 * Decoding goes through the same inbox as in a transport: bytes are pushed, then every complete frame is taken. Each
 * piece is made when it is pushed, as a socket makes them; that is part of the cost.
 *
 * `in-process.ts CODEC FRAME_LENGTH SECONDS ROUNDS [PIECE...]`
 */
import * as Exit from "effect/Exit"
import { isDeepStrictEqual } from "node:util"
import * as Codec from "../src/Codec.ts"
import { ByteWriter } from "../src/internal/bytes/writer.ts"
import { Frames, Inbox } from "../src/internal/connection/inbox.ts"

const maxLength = 8 * 1024 * 1024

const bytesOf = (length: number, index: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => 0x61 + (i + index) % 26)

const textOf = (length: number, index: number): string => Buffer.from(bytesOf(length, index)).toString("latin1")

/** Made of letters of two bytes. */
const umlautsOf = (length: number, index: number): string =>
  textOf(length / 2, index).replace(/./g, (letter) => String.fromCodePoint(letter.codePointAt(0)! + 0x80))

/** What an operation does once. */
interface Work {
  readonly frames: number
  readonly bytes: number
}

export type OperationName = `decode ${number}` | "encode batch" | "encode single"

interface Operation {
  readonly name: OperationName
  readonly run: () => Work
}

/** A codec with frames of it, their bytes included, that are together about as long as a large read from a socket. */
const operations = <A>(
  codec: Codec.Codec<A, A>,
  frameOf: (index: number) => A,
  frameLength: number,
  pieces: ReadonlyArray<number>
): ReadonlyArray<Operation> => {
  const frames = Array.from({ length: Math.max(1, Math.round(65_536 / frameLength)) }, (_, i) => frameOf(i))
  const bytes = Codec.encodeAll(codec, frames)
  const work = { frames: frames.length, bytes: bytes.length }

  const decode = (piece: number): Operation => {
    const inbox = new Inbox()
    const decoded = new Frames(inbox, codec.decoder())
    const run = (each?: (taken: ReadonlyArray<A>) => void): Work => {
      let count = 0
      for (let at = 0; at < bytes.length; at += piece) {
        inbox.push(bytes.subarray(at, at + piece))
        const taken = decoded.nextAll(Infinity)
        if (Exit.isExit(taken)) throw new Error(`the codec failed: ${taken}`)
        count += taken.length
        each?.(taken)
      }
      if (count !== frames.length) throw new Error(`decoded ${count} frames of ${frames.length}`)
      return work
    }
    // What is measured has to be right.
    const all: Array<A> = []
    run((taken) => all.push(...taken))
    if (!isDeepStrictEqual(all, frames)) throw new Error(`pieces of ${piece} bytes decode to something else`)
    return { name: `decode ${piece}`, run: () => run() }
  }

  const encodeInto = (frame: A, into: ByteWriter) => {
    if (codec.encode(frame, into) !== undefined) throw new Error("the codec failed")
  }
  // A writer keeps texts as they are, for a socket puts them into bytes; so that has to be done here.
  const write = (into: ByteWriter) => {
    const chunks = into.finish()
    if (chunks.length === 0) throw new Error("nothing was encoded")
    for (const chunk of chunks) if (typeof chunk === "string") Buffer.from(chunk)
  }
  return [
    ...pieces.map(decode),
    {
      name: "encode batch",
      run: () => {
        const into = new ByteWriter()
        // As a transport does.
        if (codec.encodeMany?.(frames, into) !== true) { for (const frame of frames) encodeInto(frame, into) }
        write(into)
        return work
      }
    },
    {
      name: "encode single",
      run: () => {
        for (const frame of frames) {
          const into = new ByteWriter()
          encodeInto(frame, into)
          write(into)
        }
        return work
      }
    }
  ]
}

const operationsOf = (codec: string, length: number, pieces: ReadonlyArray<number>): ReadonlyArray<Operation> => {
  switch (codec) {
    case "lines":
      return operations(Codec.lines({ maxLength }), (i) => textOf(length, i), length, pieces)
    case "lines, not ASCII":
      return operations(Codec.lines({ maxLength }), (i) => umlautsOf(length, i), length, pieces)
    case "delimited":
      return operations(
        Codec.delimited(Uint8Array.of(13, 10), { maxLength }),
        (i) => bytesOf(length, i),
        length,
        pieces
      )
    case "lengthPrefixed":
      return operations(Codec.lengthPrefixed({ maxLength }), (i) => bytesOf(length, i), length, pieces)
    case "fixed":
      return operations(Codec.fixed(length), (i) => bytesOf(length, i), length, pieces)
    default:
      throw new Error(`no codec ${codec}`)
  }
}

/** What one operation did in one round. */
export interface Sample {
  readonly mbps: number
  readonly framesPerSecond: number
}

/** The rounds of each operation. */
export type Samples = Partial<Record<OperationName, ReadonlyArray<Sample>>>

const sample = ({ run }: Operation, seconds: number): Sample => {
  const begin = performance.now()
  let frames = 0
  let bytes = 0
  let elapsed: number
  do {
    const done = run()
    frames += done.frames
    bytes += done.bytes
    elapsed = (performance.now() - begin) / 1000
  } while (elapsed < seconds)
  return { mbps: bytes / elapsed / 1e6, framesPerSecond: frames / elapsed }
}

if (import.meta.main) {
  const [codec, length, seconds, rounds, ...pieces] = process.argv.slice(2)
  const all = operationsOf(codec, Number(length), pieces.map(Number))
  for (const operation of all) sample(operation, Number(seconds)) // for the compiler
  const samples: Partial<Record<OperationName, Array<Sample>>> = {}
  for (let round = 0; round < Number(rounds); round++) {
    for (const operation of all) (samples[operation.name] ??= []).push(sample(operation, Number(seconds)))
  }
  console.log(JSON.stringify(samples satisfies Samples))
}
