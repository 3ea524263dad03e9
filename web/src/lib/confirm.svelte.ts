/** Ask before something that hurts. */

export interface Question {
  title: string;
  text: string;
  yes: string;
  danger: boolean;
  answer: (yes: boolean) => void;
}

class Confirm {
  question = $state.raw<Question | null>(null);

  ask(question: Omit<Question, "answer">): Promise<boolean> {
    return new Promise((resolve) => {
      this.question = {
        ...question,
        answer: (yes) => {
          this.question = null;
          resolve(yes);
        },
      };
    });
  }
}

export const confirm = new Confirm();
