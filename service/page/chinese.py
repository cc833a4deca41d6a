"""Chinese translations of the page's texts, by the English text."""

from __future__ import annotations

CHINESE = {
    # The page as a whole
    "Speech": "语音合成",
    "Type a text and listen to it.": "输入文字，即可收听。",
    "# Text to speech\nType a text and listen to it.": "# 文字转语音\n输入文字，即可收听。",
    "For programs, there is an [API](/docs) that is compatible with OpenAI's speech endpoint.": (
        "程序可以使用与 OpenAI 语音接口兼容的 [API](/docs)。"
    ),
    "Text": "文字",
    "Batch": "批量",
    "Status": "状态",
    # One text
    "Type a text.": "请输入文字。",
    "At most {count} characters. Press Shift+Enter to speak.": "最多 {count} 个字符。按 Shift+Enter 开始朗读。",
    "Voice": "音色",
    "Format": "文件格式",
    "Speed": "语速",
    "Clone a voice": "克隆音色",
    "Recording": "录音",
    "Transcript": "录音文字",
    "What the recording says, word for word.": "录音中所说的原文，须逐字一致。",
    "Speak": "朗读",
    "Stop": "停止",
    "Your speech appears here. It plays while it is made.": "语音将显示在这里，边生成边播放。",
    "Download": "下载",
    "Waiting in the queue with {ahead} ahead.": "正在排队，前面还有 {ahead} 个。",
    "Next in the queue.": "即将开始。",
    "Sentence {count} is ready: {seconds:.1f} s so far.": "第 {count} 句已完成，共 {seconds:.1f} 秒。",
    "{seconds:.1f} seconds at {rate} Hz, {size:.0f} KiB.": "{seconds:.1f} 秒，{rate} Hz，{size:.0f} KiB。",
    "Stopped.": "已停止。",
    "There is nothing to stop.": "没有正在进行的任务。",
    # A batch
    "Task file": "任务文件",
    "Speak all": "全部朗读",
    "The progress appears here, then a zip file to download.": "这里显示进度，完成后可下载 zip 文件。",
    "Download the zip": "下载 zip",
    "A task file has one JSON object per line, up to {lines} lines and {chars} characters of text:": (
        "任务文件每行一个 JSON 对象，最多 {lines} 行、共 {chars} 个字符："
    ),
    "A line may also name a `voice`. The whole file is checked before the first line is spoken. Single texts have "
    "priority over batches.": "每行还可以指定 `voice`。朗读第一行之前会检查整个文件。单个文本优先于批量任务。",
    "Choose a task file first.": "请先选择任务文件。",
    "The batch has not started. Correct this, then choose the file again:": "批量任务尚未开始。请更正后重新选择文件：",
    "and {count} more": "另有 {count} 处",
    "Progress": "进度",
    "{done} of {total} lines, {seconds:.1f} s of speech.": "已完成 {done}/{total} 行，共 {seconds:.1f} 秒语音。",
    "{done} of {total} lines, {seconds:.1f} s of speech, {failed} failed.": (
        "已完成 {done}/{total} 行，共 {seconds:.1f} 秒语音，{failed} 行失败。"
    ),
    "Done.": "已完成。",
    "The zip has the finished clips, but there was no space for a list of the other lines.": (
        "zip 中有已完成的音频；空间不足，未能写入其余各行的列表。"
    ),
    "The zip has the finished clips, and a task file with the remaining lines.": (
        "zip 中有已完成的音频，以及含有其余各行的任务文件。"
    ),
    # The status
    "Loading.": "正在加载。",
    "No response; retrying.": "没有响应，正在重试。",
    "Release": "版本",
    "Engine": "引擎",
    "Device": "设备",
    "none (no model is loaded)": "无（未加载模型）",
    "Phase": "阶段",
    "starting": "正在启动",
    "loading": "正在加载",
    "warming": "正在预热",
    "ready": "就绪",
    "draining": "正在退出",
    "unloading": "正在卸载",
    "unloaded": "已卸载",
    "failed": "失败",
    "Waiting": "等待",
    "Waiting batch lines": "等待的批量行",
    "{count} (at most {most})": "{count}（最多 {most}）",
    "In progress": "进行中",
    "Completed since the start": "启动以来已完成",
    "1 text, {seconds:.1f} s of audio": "1 个文本，{seconds:.1f} 秒音频",
    "{count} texts, {seconds:.1f} s of audio": "{count} 个文本，{seconds:.1f} 秒音频",
    "Last inference": "最近一次推理",
    "Left out of the text:": "文字中略去的内容：",
    "none yet": "尚无",
    "{seconds:.0f} s ago": "{seconds:.0f} 秒前",
    "none": "无",
    "a GPU or its driver does not respond": "某个 GPU 或其驱动没有响应",
    "memory unknown": "显存未知",
    "{used:.1f} of {size:.1f} GiB used": "已用 {used:.1f}/{size:.1f} GiB",
    # Remedies of errors
    "Shorten it, or split it into the lines of a batch.": "请缩短文字，或拆分为批量任务的多行。",
    "Type at least one letter or digit.": "请至少输入一个文字或数字。",
    "Remove these characters, or write them out in words.": "请删除这些字符，或改写成文字。",
    "Move the slider back into its range.": "请把滑块移回允许的范围。",
    "Choose a voice from the list. If the list is outdated, reload this page.": (
        "请从列表中选择音色。如果列表已过时，请刷新页面。"
    ),
    "Choose another file with a voice, or record again.": "请另选有人声的文件，或重新录音。",
    "Trim it, or record again.": "请剪短，或重新录音。",
    "Type what the recording says.": "请输入录音中所说的内容。",
    "Try a shorter text, or try again later.": "请改用较短的文字，或稍后再试。",
    "Try again. If this happens again, contact the operator of this service.": "请重试。如果仍然出错，请联系管理员。",
    "The service is being updated. Press the button again.": "服务正在更新，请再次点击按钮。",
    "Try again in {seconds} s.": "请在 {seconds} 秒后重试。",
    "Try again.": "请重试。",
}

PROBLEMS = {
    "text_too_long": "文字过长。",
    "empty_text": "没有可朗读的文字。",
    "unspeakable_text": "文字中有该音色无法朗读的字符。",
    "out_of_range": "数值超出范围。",
    "no_such_voice": "没有这个音色。",
    "not_audio": "无法读取这段录音。",
    "bad_prompt_length": "录音的长度不合适。",
    "missing": "缺少录音文字。",
    "deadline_exceeded": "生成超时。",
    "engine_failed": "语音合成失败。",
    "queue_full": "排队已满。",
    "rate_limit_exceeded": "请求过于频繁。",
    "too_many_at_once": "同时进行的请求过多。",
    "not_ready": "服务尚未就绪。",
    "no_room": "没有空间存放新文件。",
    "out_of_memory": "内存不足。",
}
"""Problems by the code of the error. The error's own message follows: it has the values, in English."""
