// The table of everything that can go wrong, shared with the servers.
import table from "../../../protocol/problems.json";
import type { Code, Language, Problem, Words } from "./messages.ts";

const problems = table as Record<Code, { status: number; words: Record<Language, Words> }>;

/** Says whether a text is a code of the table. */
export function isCode(text: unknown): text is Code {
  return typeof text === "string" && text in problems;
}

/** What a person is told of a problem. */
export function words(code: Code, language: Language): Words {
  return problems[code].words[language];
}

/** A problem of this client's own, in the form that the servers use too. */
export function problem(code: Code, detail?: string): Problem {
  const entry = problems[code];
  return {
    ...entry.words.en,
    code,
    ...(entry.status ? { status: entry.status } : {}),
    ...(detail ? { detail } : {}),
  };
}

/** A problem as something to throw. */
export class ProblemError extends Error {
  readonly problem: Problem;

  constructor(p: Problem) {
    super(p.detail ? `${p.title} (${p.detail})` : p.title);
    this.name = "ProblemError";
    this.problem = p;
  }
}

/** Finds the problem in anything that was thrown. */
export function problemOf(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem;
  return problem("internal", error instanceof Error ? error.message : String(error));
}
