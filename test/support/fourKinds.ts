/**
 * Frames of lines for each kind of calls and of serving.
 */
import type * as Multiplex from "../../src/Multiplex.ts"
import type * as Pipeline from "../../src/Pipeline.ts"

// `1 text` is a request or a response by id, `+1 text` and `+text` are those with a body, and `x1` cancels a request.

const cut = (line: string) => {
  const at = line.indexOf(" ")
  return { id: Number(line.slice(line[0] === "+" ? 1 : 0, at)), rest: line.slice(at + 1) }
}

export const byId: Multiplex.Frames<{ frame: string; id: number; request: string; response: string }> = {
  request: (id, text) => `${id} ${text}`,
  fromClient: (line) => ({ _tag: "Request", id: cut(line).id, body: cut(line).rest }),
  response: (id, text) => `${id} ${text}`,
  fromServer: (line) => ({ _tag: "Response", id: cut(line).id, body: cut(line).rest })
}

interface Types {
  frame: string
  request: string
  response: string
  chunk: string
}

export const inOrder: Pipeline.StreamingFrames<Types> = {
  request: {
    head: (head) => head,
    chunk: (chunk) => `.${chunk}`,
    end: () => ";",
    read: (line) => ({ _tag: "Head", head: line, hasBody: false })
  },
  response: {
    head: (head) => head,
    chunk: (chunk) => `.${chunk}`,
    end: () => ";",
    read: (line) =>
      line[0] === "."
        ? { _tag: "Chunk", chunk: line.slice(1) }
        : line === ";"
        ? { _tag: "End" }
        : { _tag: "Head", head: line, hasBody: line[0] === "+" }
  }
}

const part = (line: string): Multiplex.MessagePart<number, string, string, never> => {
  const { id, rest } = cut(line[0] === "." || line[0] === ";" ? `+${line.slice(1)}` : line)
  if (line[0] === ".") return { _tag: "Chunk", id, chunk: rest }
  return line[0] === ";" ? { _tag: "End", id } : { _tag: "Head", id, head: rest, hasBody: line[0] === "+" }
}

const written = {
  head: (id: number, head: string) => `${id} ${head}`,
  chunk: (id: number, chunk: string) => `.${id} ${chunk}`,
  end: (id: number) => `;${id} `
}

export const byIdWithBodies: Multiplex.StreamingFrames<Types & { id: number }> = {
  request: { ...written, read: part },
  response: { ...written, read: part }
}
