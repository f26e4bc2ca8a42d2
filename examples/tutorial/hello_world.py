import time


def main():
    delay = 10
    # The tutorial finds this misspelling by reading the task's stderr: it should be range.
    for _ in xrang(100):
        print(f"Hello world! The time is now: {time.asctime()}. Sleeping for {delay} secs", flush=True)
        time.sleep(delay)


main()
